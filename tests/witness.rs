//! What is sent to an application, whatever a test is about, is judged by the
//! application's documents when the call log is forgotten and at the end of its
//! process; so is every answer of the simulator but a fault by arrangement.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;

use crate::{
    Call,
    contract::Contract,
    support::{Application, World},
};

/// How long a simulator may take to tell its log.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest list of complaints that is worth reading.
const MOST: usize = 5;

/// What is not as documented in the log of a simulator of some kind; nothing
/// where the simulator is gone.
pub fn complaints(kind: &str, address: &str) -> Vec<String> {
    let contract = Contract::of(kind);
    let (mut since, mut wrong) = (0, Vec::new());
    while let Some(page) = page(address, since) {
        let Some(last) = page.last() else { break };
        since = last.sequence;
        wrong.extend(contract.judge_all(&page));
    }
    wrong.truncate(MOST);
    wrong
}

/// Without a client of its own, because a value that is dropped cannot wait.
fn page(address: &str, since: u64) -> Option<Vec<Call>> {
    let host = address.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let path = format!("/_simulator/calls?since={since}");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    Some(serde_json::from_slice(&answer[body..]).expect("calls"))
}

#[tokio::test]
async fn a_call_that_is_not_documented_is_found_in_the_log() {
    let world = World::of(Application::Snyk, "").await;
    assert_eq!(world.complaints(), Vec::<String>::new());
    let groups = format!("{}/rest/groups?version=2025-11-05", world.upstream());
    let ask = |query: &str| {
        let request = world.client.get(format!("{groups}{query}"));
        request.bearer_auth("upstream-token-for-tests-0123456789abcdef")
    };
    ask("&limit=10").send().await.expect("an answer");
    assert_eq!(world.complaints(), Vec::<String>::new());
    ask("&limit=10&page=2").send().await.expect("an answer");
    let told = |what: &str| {
        let wrong = world.complaints();
        assert!(wrong.iter().any(|it| it.contains(what)), "{wrong:?}");
    };
    told("parameter page is not documented");
    ask("").json(&json!({})).send().await.expect("an answer");
    told("a body where none is documented");
    world.overlook().await;
}
