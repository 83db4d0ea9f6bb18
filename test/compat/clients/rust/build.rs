//! Tells the program which rskafka and which compiler it is made of.

use std::process::Command;

fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").expect("read Cargo.lock");
    let after = lock.split("name = \"rskafka\"\nversion = \"").nth(1).expect("rskafka in Cargo.lock");
    println!("cargo::rustc-env=RSKAFKA_VERSION={}", after.split('"').next().unwrap_or_default());
    let out = Command::new(std::env::var("RUSTC").expect("RUSTC")).arg("--version").output().expect("ask for the compiler's version");
    let said = String::from_utf8_lossy(&out.stdout).to_string();
    println!("cargo::rustc-env=RUST_VERSION={}", said.split(' ').nth(1).unwrap_or_default());
}
