import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import javax.security.auth.callback.Callback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.auth.SaslExtensions;
import org.apache.kafka.common.security.auth.SaslExtensionsCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerTokenCallback;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Kafka's own producer; see the README beside the clients for what it reads and prints. */
public class Compat {
    static BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    public static void main(String[] args) throws Exception {
        Properties build = new Properties();
        build.load(KafkaProducer.class.getResourceAsStream("/kafka/kafka-version.properties"));
        System.out.println("hello\tApache Kafka's Java client\t" + build.getProperty("version") + "\tJava " + System.getProperty("java.version"));
        for (String line; (line = in.readLine()) != null; ) {
            Map<String, String> cell = new HashMap<>();
            for (String field : line.split("\t")) {
                int eq = field.indexOf('=');
                cell.put(field.substring(0, eq), field.substring(eq + 1));
            }
            try {
                System.out.println("done\t" + run(cell));
            } catch (Exception e) {
                System.out.println("failed\t" + (e + (e.getCause() == null ? "" : ": " + e.getCause())).replaceAll("\\s+", " "));
            }
        }
    }

    static int run(Map<String, String> cell) throws Exception {
        Properties conf = new Properties();
        conf.put("bootstrap.servers", cell.get("bootstrap"));
        conf.put("compression.type", cell.get("codec"));
        conf.put("enable.idempotence", cell.get("idempotent"));
        conf.put("acks", "all");
        conf.put("linger.ms", "20");
        conf.put("max.block.ms", "30000");
        conf.put("key.serializer", ByteArraySerializer.class.getName());
        conf.put("value.serializer", ByteArraySerializer.class.getName());
        conf.put("security.protocol", cell.get("protocol"));
        if (cell.get("protocol").endsWith("SSL")) {
            conf.put("ssl.truststore.type", "PEM");
            conf.put("ssl.truststore.location", cell.get("ca"));
        }
        String mechanism = cell.get("mechanism");
        if (!mechanism.isEmpty()) {
            conf.put("sasl.mechanism", mechanism);
            String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : mechanism.startsWith("SCRAM") ? "scram.ScramLoginModule" : "oauthbearer.OAuthBearerLoginModule";
            String login = mechanism.equals("OAUTHBEARER") ? "" : " username=\"" + cell.get("user") + "\" password=\"" + cell.get("password") + "\"";
            conf.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + " required" + login + ";");
        }
        if (mechanism.equals("OAUTHBEARER")) {
            Tokens.token = cell.get("token");
            conf.put("sasl.login.callback.handler.class", Tokens.class);
        }
        int partitions = Integer.parseInt(cell.get("partitions")), records = Integer.parseInt(cell.get("records")), acked = 0;
        boolean outage = cell.get("outage").equals("true");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(conf)) {
            int middle = outage ? records / 2 : records;
            acked += send(producer, cell.get("topic"), partitions, 0, middle);
            if (outage) {
                System.out.println("half");
                in.readLine();
                acked += send(producer, cell.get("topic"), partitions, middle, records);
            }
        }
        return acked;
    }

    static int send(KafkaProducer<byte[], byte[]> producer, String topic, int partitions, int from, int to) throws InterruptedException, ExecutionException {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = from; i < to; i++) {
            for (int p = 0; p < partitions; p++) {
                byte[] key = i % 10 == 7 ? null : ("k-" + p + "-" + i).getBytes(StandardCharsets.UTF_8);
                byte[] value = i % 10 == 3 ? null : ("v-" + p + "-" + i + "-" + "abcdefgh".repeat(16)).getBytes(StandardCharsets.UTF_8);
                ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, p, key, value);
                r.headers().add("a", (p + "-" + i).getBytes(StandardCharsets.UTF_8)).add("b", new byte[] {0, (byte) 0xff, 0x7f}).add("c", new byte[0]);
                sent.add(producer.send(r));
            }
        }
        producer.flush();
        for (Future<RecordMetadata> f : sent) {
            f.get();
        }
        return sent.size();
    }

    /** Hands out the one token of a cell. */
    public static class Tokens implements AuthenticateCallbackHandler {
        static volatile String token;

        @Override
        public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {}

        @Override
        public void close() {}

        @Override
        public void handle(Callback[] callbacks) {
            for (Callback c : callbacks) {
                if (c instanceof OAuthBearerTokenCallback) {
                    ((OAuthBearerTokenCallback) c).token(new OAuthBearerToken() {
                        public String value() { return token; }
                        public Set<String> scope() { return Collections.emptySet(); }
                        public long lifetimeMs() { return System.currentTimeMillis() + 3600_000; }
                        public String principalName() { return "alice"; }
                        public Long startTimeMs() { return null; }
                    });
                } else if (c instanceof SaslExtensionsCallback) {
                    ((SaslExtensionsCallback) c).extensions(new SaslExtensions(Collections.emptyMap()));
                }
            }
        }
    }
}
