package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/auth"
)

// ErrNoAuthorizer says that a cluster keeps no rules about who may do what: everyone may do everything there.
var ErrNoAuthorizer = errors.New("this Kafka has no authorizer (authorizer.class.name), so it has no rules")

const codeSecurityDisabled = 54

// WriteRules asks any broker for the rules about writing to topics: those of operation WRITE or ALL (DescribeAcls,
// KIP-140 and KIP-290). It needs DESCRIBE on the cluster. The error wraps ErrNoAuthorizer where there are none to have.
func (c *Client) WriteRules(ctx context.Context) (list []auth.Rule, err error) {
	err = c.any(ctx, func(cn *conn) error {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType = kmsg.ACLResourceTypeTopic
		req.ResourcePatternType = kmsg.ACLResourcePatternTypeAny
		req.Operation = kmsg.ACLOperationAny
		req.PermissionType = kmsg.ACLPermissionTypeAny
		resp, err := ask[*kmsg.DescribeACLsResponse](ctx, cn, req, 1, 3)
		if err != nil {
			return err
		}
		if resp.ErrorCode == codeSecurityDisabled {
			return ErrNoAuthorizer
		}
		if err := replyError(resp.ErrorCode, resp.ErrorMessage, "describe acls"); err != nil {
			return err
		}
		list, err = writeRules(resp)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read kafka's rules for writing: %w", err)
	}
	return list, nil
}

// writeRules keeps what is about writing. A rule of a kind that is not known here could deny something, so it is an
// error and not left out.
func writeRules(resp *kmsg.DescribeACLsResponse) (list []auth.Rule, err error) {
	for i := range resp.Resources {
		r := &resp.Resources[i]
		if r.ResourceType != kmsg.ACLResourceTypeTopic {
			continue
		}
		prefix := r.ResourcePatternType == kmsg.ACLResourcePatternTypePrefixed
		if !prefix && r.ResourcePatternType != kmsg.ACLResourcePatternTypeLiteral {
			return nil, fmt.Errorf("a rule for %q has the unknown pattern type %d", r.ResourceName, r.ResourcePatternType)
		}
		for _, a := range r.ACLs {
			if a.Operation != kmsg.ACLOperationWrite && a.Operation != kmsg.ACLOperationAll {
				continue
			}
			deny := a.PermissionType == kmsg.ACLPermissionTypeDeny
			if !deny && a.PermissionType != kmsg.ACLPermissionTypeAllow {
				return nil, fmt.Errorf("a rule for %q has the unknown permission type %d", r.ResourceName, a.PermissionType)
			}
			list = append(list, auth.Rule{Principal: a.Principal, Topic: r.ResourceName, Prefix: prefix, Deny: deny, Host: a.Host})
		}
	}
	return list, nil
}
