# What there is to do here. docs/testing.md tells what each of the tests shows, needs and costs.
.PHONY: build demo test test-real compat soak soak-real race fuzz crashsim size bench bench-log lint

ROUNDS   ?= 5
N        ?= 1000000
GB       ?= 20
LANES    ?= 10000
FUZZTIME ?= 30s
DURATION ?= 60s
LINT     := go tool -modfile=tools/go.mod golangci-lint

# Packages with tests that need real servers, but for the long one.
REAL = $(filter-out ./test/rescue,$(shell grep -rl --include='*_test.go' '^//go:build real' . | xargs -n1 dirname | sort -u))

build:
	go build -o streamdown ./cmd/streamdown

demo:
	go run ./cmd/streamdown demo

# Go alone, some minutes. Fuzz seeds run with the tests. The house rules look at files and at go list, which the test
# cache does not know of: they run uncached.
test:
	go vet ./...
	go test -count=1 .
	go test ./...

# A real Kafka. One package at a time: each starts servers of its own.
test-real:
	bash test/install
	go test -tags real -count=1 -p 1 -timeout 30m $(REAL)
	ROUNDS=$(ROUNDS) go test -tags real -count=1 -timeout 30m -v ./test/rescue

# Every client, codec and way to log in, written into docs/compatibility.md. Brings the clients from PyPI, npm, crates.io,
# Maven and Go's proxy.
compat:
	bash test/install
	go test -tags real -count=1 -timeout 60m -v -run TestClientsComeInUnchanged ./test/compat -all -update

# The cores and the whole node in simulation, from seeds, for DURATION; planted bugs must be caught. The last line is the result.
soak:
	@go run ./test/soak -duration $(DURATION)

# Three brokers in bad weather, as long as you like: make soak-real DURATION=1h STORM="-seed N". The last line is the result.
soak-real:
	bash test/install
	@go run ./test/storm -duration $(DURATION) $(STORM)

race:
	go test -race ./...

fuzz:
	bash test/fuzz $(FUZZTIME)

# The log on a disk that crashes, N times; planted bugs must be caught.
crashsim:
	go run ./test/crashsim -n $(N)

# Start-up time and memory before a log of GB·10^9 bytes in LANES partitions.
size:
	go run ./test/size -gb $(GB) -lanes $(LANES)

bench:
	go run ./bench

bench-log:
	go run ./bench log

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt -w these:"; gofmt -l .; exit 1; }
	go vet -tags real ./...
	$(LINT) run ./...
