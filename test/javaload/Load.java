import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Sends the records of package check with Kafka's own Java producer, each to the partition it is told.
 *
 * Arguments are key=value: bootstrap, topic, producer (id of partition 0; partition p uses producer + p), incarnation,
 * size (bytes), idempotent (true/false), acks (all, 1, 0), inflight (requests per connection), compression, and
 * target.N (hash of partition N, hex). What begins with conf. is a setting of the producer that comes after the program's
 * own and wins.
 *
 * Standard input grants: "G partition from to" has the records from..to-1 of that partition sent, in that order. The
 * granter has told the checker of them before: a record must never be readable before it was declared. The end of the
 * input ends the program, once every record was answered.
 *
 * Standard output answers, a line per record: "A partition seq offset" when it was acked, "F partition seq reason" when
 * the producer gave up on it, and at the end "R n", the number of records that the producer says it sent again.
 */
public class Load {
    public static void main(String[] args) throws Exception {
        Map<String, String> arg = new HashMap<>();
        for (String a : args) {
            int eq = a.indexOf('=');
            arg.put(a.substring(0, eq), a.substring(eq + 1));
        }
        Properties conf = new Properties();
        conf.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, arg.get("bootstrap"));
        conf.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, arg.get("idempotent"));
        conf.put(ProducerConfig.ACKS_CONFIG, arg.get("acks"));
        conf.put(ProducerConfig.MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION, arg.get("inflight"));
        conf.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, arg.get("compression"));
        conf.put(ProducerConfig.LINGER_MS_CONFIG, "5");
        // An outage may last as long as the test wants: no clock of the client's gives up on a record.
        conf.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, Integer.MAX_VALUE);
        conf.put(ProducerConfig.RETRIES_CONFIG, Integer.MAX_VALUE);
        conf.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, Long.MAX_VALUE);
        conf.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class.getName());
        conf.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class.getName());

        arg.forEach((key, value) -> {
            if (key.startsWith("conf.")) {
                conf.put(key.substring("conf.".length()), value);
            }
        });

        String topic = arg.get("topic");
        long producer = Long.parseLong(arg.get("producer"));
        String incarnation = arg.get("incarnation");
        int size = Integer.parseInt(arg.get("size"));
        Answers answers = new Answers(System.out);
        try (KafkaProducer<byte[], byte[]> kafka = new KafkaProducer<>(conf)) {
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
            for (String line; (line = in.readLine()) != null; ) {
                String[] f = line.split(" ");
                int partition = Integer.parseInt(f[1]);
                String target = arg.get("target." + partition);
                for (long n = Long.parseLong(f[2]), end = Long.parseLong(f[3]); n < end; n++) {
                    long seq = n;
                    byte[] value = record(producer + partition, incarnation, seq, target, size);
                    kafka.send(new ProducerRecord<>(topic, partition, null, value), (meta, err) -> {
                        if (err == null) {
                            answers.add("A " + partition + " " + seq + " " + meta.offset());
                        } else {
                            answers.add("F " + partition + " " + seq + " " + err.toString().replace('\n', ' '));
                        }
                    });
                }
            }
            kafka.flush();
            kafka.metrics().forEach((name, metric) -> {
                if (name.name().equals("record-retry-total") && name.group().equals("producer-metrics")) {
                    answers.add("R " + ((Double) metric.metricValue()).longValue());
                }
            });
        }
        answers.close();
    }

    static final String LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    /** The line of check.AppendRecord: sd1 producer incarnation seq target sent .filler crc */
    static byte[] record(long producer, String incarnation, long seq, String target, int size) {
        StringBuilder b = new StringBuilder(Math.max(size, 120));
        b.append("sd1 ").append(producer).append(' ').append(incarnation).append(' ').append(seq).append(' ')
            .append(target).append(' ').append(System.currentTimeMillis() * 1000).append(" .");
        long x = seq * 0x9E3779B97F4A7C15L ^ producer << 32 | 1;
        for (int room = size - b.length() - 9; room > 0; room -= 10) {
            x ^= x << 13;
            x ^= x >>> 7;
            x ^= x << 17;
            long w = x;
            for (int i = Math.min(room, 10); i > 0; i--, w >>>= 6) {
                b.append(LETTERS.charAt((int) (w & 63)));
            }
        }
        b.append(' ');
        CRC32C crc = new CRC32C();
        crc.update(b.toString().getBytes(StandardCharsets.US_ASCII));
        String hex = Long.toHexString(crc.getValue());
        b.append("0".repeat(8 - hex.length())).append(hex);
        return b.toString().getBytes(StandardCharsets.US_ASCII);
    }

    /** Lines that a thread of its own writes out, so that the producer's thread never waits for who reads them. */
    static class Answers {
        private final StringBuilder held = new StringBuilder();
        private boolean closed;
        private final Thread writer;

        Answers(OutputStream out) {
            writer = new Thread(() -> write(out), "answers");
            writer.start();
        }

        synchronized void add(String line) {
            held.append(line).append('\n');
            notify();
        }

        void close() throws InterruptedException {
            synchronized (this) {
                closed = true;
                notify();
            }
            writer.join();
        }

        private void write(OutputStream out) {
            try {
                for (;;) {
                    byte[] lines;
                    synchronized (this) {
                        while (held.length() == 0 && !closed) {
                            wait();
                        }
                        if (held.length() == 0) {
                            return;
                        }
                        lines = held.toString().getBytes(StandardCharsets.US_ASCII);
                        held.setLength(0);
                    }
                    out.write(lines);
                    out.flush();
                }
            } catch (Exception e) { // nobody reads: the test has gone
                Runtime.getRuntime().halt(1);
            }
        }
    }
}
