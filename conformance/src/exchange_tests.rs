#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::case::Case;

/// Answers one connection with `answer` and gives back the bytes it read.
async fn one_shot(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/scim/v2/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let n = stream.read(&mut chunk).await.unwrap();
            read.extend_from_slice(&chunk[..n]);
            let text = String::from_utf8_lossy(&read).into_owned();
            let length = text
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .map(str::to_owned)
                })
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if text
                .split_once("\r\n\r\n")
                .is_some_and(|(_, body)| body.len() >= length)
            {
                stream.write_all(&answer).await.unwrap();
                return text;
            }
        }
    });
    (base, server)
}

fn case(request: &str) -> Case {
    Case::parse(&format!(
        r#"{{"name":"a","source":"s","confidence":"low","kind":"client","request":{request},"expect":{{"status":[200]}}}}"#
    ))
    .unwrap()
}

fn variables() -> Variables {
    let mut variables = Variables::default();
    variables.set("id", "a/b");
    variables.set("who", "al ice");
    variables
}

async fn sent(request: &str) -> String {
    let (base, server) = one_shot(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let wire = Wire::new(&base, Duration::from_secs(5), 1024).unwrap();
    wire.send(&wire.prepare(&case(request).request, &variables()).unwrap())
        .await
        .unwrap();
    server.await.unwrap()
}

async fn answered(answer: &[u8], largest: usize) -> Result<Answer, ExchangeError> {
    let (base, _server) = one_shot(answer.to_vec()).await;
    let wire = Wire::new(&base, Duration::from_secs(5), largest).unwrap();
    wire.plain("GET", "/Users", "t", None).await
}

#[tokio::test]
async fn a_raw_query_goes_out_byte_for_byte() {
    let text = sent(
        r#"{"method":"GET","path":"/Users/{{id}}","raw_query":"filter=userName+eq+%22x%22&"}"#,
    )
    .await;
    assert!(
        text.starts_with("GET /scim/v2/Users/a%2Fb?filter=userName+eq+%22x%22& HTTP/1.1\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn an_empty_raw_query_is_a_bare_question_mark() {
    let text = sent(r#"{"method":"PUT","path":"/Users/1","raw_query":""}"#).await;
    assert!(
        text.starts_with("PUT /scim/v2/Users/1? HTTP/1.1\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_query_is_percent_encoded() {
    let text = sent(r#"{"method":"GET","path":"/Users","query":{"filter":"userName eq \"{{who}}\"","count":1}}"#).await;
    assert!(
        text.starts_with("GET /scim/v2/Users?filter=userName%20eq%20%22al%20ice%22&count=1 "),
        "{text}"
    );
}

#[tokio::test]
async fn an_empty_header_is_sent_empty_and_nothing_is_added() {
    let text = sent(r#"{"method":"GET","path":"/Users","headers":{"User-Agent":""}}"#)
        .await
        .to_ascii_lowercase();
    assert!(text.contains("\r\nuser-agent: \r\n"), "{text:?}");
    assert!(
        !text.contains("authorization") && !text.contains("content-type"),
        "{text}"
    );
}

#[tokio::test]
async fn bodies_go_out_as_json_raw_or_form() {
    let json = sent(r#"{"method":"POST","path":"/Users","body":{"userName":"{{who}}"}}"#).await;
    assert!(
        json.ends_with(r#"{"userName":"al ice"}"#) && json.contains("application/scim+json"),
        "{json}"
    );
    let raw = sent(r#"{"method":"POST","path":"/Users","headers":{"content-type":"text/x"},"raw_body":"{\"a\": "}"#).await;
    assert!(
        raw.ends_with("\r\n\r\n{\"a\": ") && raw.contains("text/x") && !raw.contains("scim+json"),
        "{raw}"
    );
    let form = sent(r#"{"method":"POST","path":"/t","form":{"a":"x y","b":"{{who}}"}}"#).await;
    assert!(
        form.ends_with("a=x%20y&b=al%20ice") && form.contains("x-www-form-urlencoded"),
        "{form}"
    );
}

#[tokio::test]
async fn an_answer_over_the_bound_is_refused() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789";
    assert_eq!(answered(answer, 20).await.unwrap().body.len(), 20);
    assert!(matches!(
        answered(answer, 19).await,
        Err(ExchangeError::TooLarge(19))
    ));
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_bounded() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b'a'; 5000]).unwrap();
    let packed = packed.finish().unwrap();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    answer.extend(packed);
    assert_eq!(answered(&answer, 5000).await.unwrap().body.len(), 5000);
    assert!(matches!(
        answered(&answer, 4999).await,
        Err(ExchangeError::TooLarge(4999))
    ));
}

#[tokio::test]
async fn a_redirect_is_an_answer_not_an_order() {
    let answer =
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answered(answer, 10).await.unwrap().status, 302);
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let wire = Wire::new(&base, Duration::from_secs(5), 10).unwrap();
    assert!(matches!(
        wire.plain("GET", "/Users", "t", None).await,
        Err(ExchangeError::Unreachable(_))
    ));
}

#[test]
fn a_url_without_http_is_refused() {
    for url in ["localhost:8080", "ftp://x/", "nonsense"] {
        assert!(Wire::new(url, Duration::from_secs(1), 1).is_err(), "{url}");
    }
}
