//! Sends through rskafka; the README beside the clients has the words that it reads and prints.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::{ClientBuilder, Credentials, OauthBearerCredentials, SaslConfig};
use rskafka::record::Record;
use rustls::pki_types::{CertificateDer, pem::PemObject};

type Cell = HashMap<String, String>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn records(p: i32, begin: usize, end: usize) -> Vec<Record> {
    (begin..end)
        .map(|i| Record {
            key: (i % 10 != 7).then(|| format!("k-{p}-{i}").into_bytes()),
            value: (i % 10 != 3).then(|| format!("v-{p}-{i}-{}", "abcdefgh".repeat(16)).into_bytes()),
            headers: BTreeMap::from([
                ("a".to_string(), format!("{p}-{i}").into_bytes()),
                ("b".to_string(), vec![0, 0xff, 0x7f]),
                ("c".to_string(), vec![]),
            ]),
            timestamp: chrono::Utc::now(),
        })
        .collect()
}

async fn run(cell: &Cell) -> Result<usize, Failure> {
    let mut builder = ClientBuilder::new(vec![cell["bootstrap"].clone()])
        .backoff_config(BackoffConfig { deadline: Some(Duration::from_secs(30)), ..Default::default() });
    if cell["protocol"].ends_with("SSL") {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&cell["ca"])?)?;
        builder = builder.tls_config(Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
    }
    let login = Credentials::new(cell["user"].clone(), cell["password"].clone());
    let token = cell["token"].clone();
    builder = match cell["mechanism"].as_str() {
        "PLAIN" => builder.sasl_config(SaslConfig::Plain(login)),
        "SCRAM-SHA-256" => builder.sasl_config(SaslConfig::ScramSha256(login)),
        "SCRAM-SHA-512" => builder.sasl_config(SaslConfig::ScramSha512(login)),
        "OAUTHBEARER" => builder.sasl_config(SaslConfig::Oauthbearer(OauthBearerCredentials {
            callback: Arc::new(move || {
                let token = token.clone();
                Box::pin(async move { Ok(token) })
            }),
            authz_id: None,
            bearer_kvs: vec![],
        })),
        _ => builder,
    };
    let codec = match cell["codec"].as_str() {
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => Compression::NoCompression,
    };
    let client = builder.build().await?;
    let n: usize = cell["records"].parse()?;
    let halves = if cell["outage"] == "true" { vec![(0, n / 2), (n / 2, n)] } else { vec![(0, n)] };
    let mut acked = 0;
    for (begin, end) in halves {
        if begin > 0 {
            println!("half");
            stdin().lock().read_line(&mut String::new())?;
        }
        for p in 0..cell["partitions"].parse()? {
            let partition = client.partition_client(cell["topic"].clone(), p, UnknownTopicHandling::Retry).await?;
            acked += partition.produce(records(p, begin, end), codec).await?.len();
        }
    }
    Ok(acked)
}

#[tokio::main]
async fn main() {
    println!("hello\trskafka\t{}\tRust {}", env!("RSKAFKA_VERSION"), env!("RUST_VERSION"));
    let mut line = String::new();
    while stdin().lock().read_line(&mut line).unwrap_or(0) > 0 {
        let cell: Cell = line.trim_end_matches('\n').split('\t').filter_map(|f| f.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())).collect();
        line.clear();
        if cell["idempotent"] == "true" {
            println!("lacks\tno idempotence");
            continue;
        }
        match run(&cell).await {
            Ok(acked) => println!("done\t{acked}"),
            Err(e) => println!("failed\t{}", e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
}
