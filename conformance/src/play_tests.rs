#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::needless_pass_by_value)]
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server of recorded answers: what it says depends on the request line alone.
type Answers = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

struct Recorded {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

async fn recorded(answers: Answers) -> Recorded {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&log)));
        }
    });
    Recorded { url, seen }
}

async fn serve(mut stream: TcpStream, answers: Answers, log: Arc<Mutex<Vec<String>>>) {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(n) = stream.read(&mut chunk).await {
        if n == 0 {
            return;
        }
        read.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .map_or(0, |length| length.parse::<usize>().unwrap());
        if body.len() < length {
            continue;
        }
        let line = head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
            .to_owned();
        log.lock().unwrap().push(line.clone());
        let (status, body) = answers(&line);
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        read.clear();
    }
}

/// A folder with one profile, `made`, of the given cases.
fn cases(name: &str, cases: &[Value]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("conformance-{}-{name}", std::process::id()));
    let profile = folder.join("made");
    std::fs::create_dir_all(&profile).unwrap();
    for (index, case) in cases.iter().enumerate() {
        std::fs::write(profile.join(format!("{index:02}.json")), case.to_string()).unwrap();
    }
    folder
}

fn case(name: &str, method: &str, path: &str, expect: Value) -> Value {
    json!({"name": name, "source": "here", "confidence": "derived", "kind": "client",
        "request": {"method": method, "path": path, "headers": {"Authorization": "{{auth}}"}}, "expect": expect})
}

fn saving(mut case: Value, name: &str, path: &str) -> Value {
    case["save"] = json!({ name: path });
    case
}

fn options(server: &Recorded, folder: &std::path::Path) -> Options {
    Options {
        cases: Some(folder.to_owned()),
        timeout: Duration::from_secs(5),
        ..Options::new(&server.url, "secret-token")
    }
}

fn usual(line: &str) -> (u16, String) {
    let user = r#"{"id":"u1","userName":"a@x","name":{"givenName":"A","familyName":"B"},"emails":[{"value":"a@x"}],"active":true}"#;
    match line {
        "GET /Users?startIndex=1&count=1" => {
            (200, format!(r#"{{"totalResults":1,"Resources":[{user}]}}"#))
        }
        "POST /Users" => (201, r#"{"id":"u2"}"#.into()),
        "GET /Users/u2" => (200, r#"{"id":"u2","active":"True"}"#.into()),
        line if line.starts_with("DELETE") => (204, String::new()),
        _ => (404, r#"{"status":"404"}"#.into()),
    }
}

#[tokio::test]
async fn what_a_case_saves_fills_the_next_and_is_removed_afterwards() {
    let server = recorded(Arc::new(usual)).await;
    let folder = cases(
        "chain",
        &[
            saving(
                case(
                    "create",
                    "POST",
                    "/Users",
                    json!({"status": [201], "body": {"id": "$nonempty"}}),
                ),
                "id",
                "id",
            ),
            case(
                "read",
                "GET",
                "/Users/{{id}}",
                json!({"status": [200], "body": {"id": "{{id}}"}}),
            ),
        ],
    );
    let report = play(&options(&server, &folder)).await.unwrap();
    assert!(report.success(), "{}", crate::terminal::text(&report, true));
    assert_eq!(
        *server.seen.lock().unwrap(),
        [
            "GET /Users?startIndex=1&count=1",
            "POST /Users",
            "GET /Users/u2",
            "DELETE /Users/u2"
        ]
    );
}

#[tokio::test]
async fn a_wrong_answer_fails_with_request_answer_and_difference_but_no_secret() {
    let server = recorded(Arc::new(usual)).await;
    let folder = cases(
        "wrong",
        &[
            saving(
                case("create", "POST", "/Users", json!({"status": [201]})),
                "id",
                "id",
            ),
            case(
                "read",
                "GET",
                "/Users/{{id}}",
                json!({"status": [200], "body": {"active": true}}),
            ),
        ],
    );
    let report = play(&options(&server, &folder)).await.unwrap();
    assert!(!report.success());
    let text = crate::terminal::text(&report, true);
    for part in [
        "body.active: expected true, found \"True\"",
        "GET http://",
        "HTTP 200",
        "1 passed, 1 failed, 0 skipped",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(crate::junit::document(&report).contains("<failure message=\"body.active"));
    assert!(
        report
            .to_json()
            .unwrap()
            .contains("\"outcome\": \"failed\"")
    );
    assert!(!text.contains("secret-token") && !report.to_json().unwrap().contains("secret-token"));
}

#[tokio::test]
async fn what_builds_on_a_failure_fails_and_names_it() {
    let server = recorded(Arc::new(usual)).await;
    let folder = cases(
        "blocked",
        &[
            saving(
                case("create", "POST", "/Nobody", json!({"status": [201]})),
                "id",
                "id",
            ),
            case("read", "GET", "/Users/{{id}}", json!({"status": [200]})),
        ],
    );
    let report = play(&options(&server, &folder)).await.unwrap();
    assert_eq!(report.counts().failed, 2);
    assert!(
        crate::terminal::text(&report, true)
            .contains("id should have come from create, which failed")
    );
}

#[tokio::test]
async fn a_missing_feature_skips_with_a_reason_and_a_run_of_nothing_is_no_success() {
    let server = recorded(Arc::new(usual)).await;
    let mut needs = case("token", "POST", "/Users", json!({"status": [201]}));
    needs["requires"] = json!("oauth");
    let folder = cases(
        "skipped",
        &[
            saving(needs, "id", "id"),
            case("read", "GET", "/Users/{{id}}", json!({"status": [200]})),
        ],
    );
    let report = play(&options(&server, &folder)).await.unwrap();
    assert_eq!(
        report.counts(),
        crate::report::Counts {
            passed: 0,
            failed: 0,
            skipped: 2
        }
    );
    assert!(!report.success());
    let text = crate::terminal::text(&report, true);
    assert!(
        text.contains("requires oauth") && text.contains("needs id from token"),
        "{text}"
    );
}

#[tokio::test]
async fn optional_cases_count_are_allowed_or_skipped() {
    let server = recorded(Arc::new(usual)).await;
    let mut may = case("may", "GET", "/Nothing", json!({"status": [200]}));
    may["optional"] = json!(true);
    let folder = cases("optional", &[may]);
    for (optional, failed) in [
        (Optional::Count, 1),
        (Optional::Allow, 0),
        (Optional::Skip, 0),
    ] {
        let options = Options {
            optional,
            ..options(&server, &folder)
        };
        let counts = play(&options).await.unwrap().counts();
        assert_eq!(
            (counts.failed, counts.skipped),
            (failed, 1 - failed),
            "{optional:?}"
        );
    }
}

#[tokio::test]
async fn a_repeated_case_counts_up_and_stops_at_the_first_failure() {
    let server = recorded(Arc::new(|line: &str| match line {
        "GET /n/3" => (500, String::new()),
        line if line.starts_with("GET /n/") => (200, String::new()),
        _ => usual(line),
    }))
    .await;
    let mut many = case("many", "GET", "/n/{{i}}", json!({"status": [200]}));
    many["repeat"] = json!({"n": 5, "as": "i"});
    let report = play(&options(&server, &cases("repeat", &[many])))
        .await
        .unwrap();
    assert!(crate::terminal::text(&report, true).contains("in repetition 3 of 5"));
    assert!(!server.seen.lock().unwrap().contains(&"GET /n/4".to_owned()));
}

#[tokio::test]
async fn only_brings_along_what_its_cases_build_on() {
    let server = recorded(Arc::new(usual)).await;
    let folder = cases(
        "only",
        &[
            saving(
                case("create", "POST", "/Users", json!({"status": [201]})),
                "id",
                "id",
            ),
            case("other", "GET", "/Other", json!({"status": [200]})),
            case("read", "GET", "/Users/{{id}}", json!({"status": [200]})),
        ],
    );
    let only = Options {
        only: Some(regex_lite::Regex::new("^read$").unwrap()),
        ..options(&server, &folder)
    };
    assert_eq!(play(&only).await.unwrap().counts().passed, 2);
    let none = Options {
        only: Some(regex_lite::Regex::new("zzz").unwrap()),
        ..options(&server, &folder)
    };
    assert!(matches!(
        play(&none).await,
        Err(PlayError::NothingSelected(_))
    ));
}

#[tokio::test]
async fn an_empty_tenant_is_given_a_seed_user_that_goes_again() {
    let server = recorded(Arc::new(|line: &str| match line {
        "GET /Users?startIndex=1&count=1" => (200, r#"{"totalResults":0}"#.into()),
        line => usual(line),
    }))
    .await;
    let folder = cases(
        "seed",
        &[case("gone", "GET", "/Nothing", json!({"status": [404]}))],
    );
    let report = play(&options(&server, &folder)).await.unwrap();
    assert!(
        report.profiles[0].notes[0].contains("seed user"),
        "{:?}",
        report.profiles[0].notes
    );
    assert_eq!(
        server.seen.lock().unwrap().last().unwrap(),
        "DELETE /Users/u2"
    );
}

#[tokio::test]
async fn a_refused_token_and_a_silent_server_stop_the_run() {
    let server = recorded(Arc::new(|_: &str| (401, String::new()))).await;
    let folder = cases(
        "refused",
        &[case("x", "GET", "/", json!({"status": [200]}))],
    );
    assert!(matches!(
        play(&options(&server, &folder)).await,
        Err(PlayError::Refused(401))
    ));
    let nobody = Options {
        url: "http://127.0.0.1:9".into(),
        ..options(&server, &folder)
    };
    assert!(matches!(
        play(&nobody).await,
        Err(PlayError::Server(ExchangeError::Unreachable(_)))
    ));
}

#[tokio::test]
async fn an_answer_without_content_is_not_compared_but_an_empty_one_is() {
    let server = recorded(Arc::new(|line: &str| match line {
        "PATCH /Users/1" => (204, String::new()),
        "PATCH /Users/2" => (200, String::new()),
        line => usual(line),
    }))
    .await;
    let expect = json!({"status": [200, 204], "headers": {"Content-Language": "$nonempty"}, "body": {"id": "$nonempty"}});
    let folder = cases(
        "nocontent",
        &[
            case("no content", "PATCH", "/Users/1", expect.clone()),
            case("empty", "PATCH", "/Users/2", expect),
        ],
    );
    let report = play(&options(&server, &folder)).await.unwrap();
    assert_eq!((report.counts().passed, report.counts().failed), (1, 1));
}

#[tokio::test]
async fn a_check_behind_the_server_fails_the_case_it_follows() {
    let server = recorded(Arc::new(usual)).await;
    let expect = json!({"status": [204]});
    let folder = cases(
        "check",
        &[
            case("good", "DELETE", "/Users/1", expect.clone()),
            case("bad", "DELETE", "/Users/1", expect),
        ],
    );
    let check = Some("echo found in $CASE; test $CASE = good".to_owned());
    let options = Options {
        check,
        ..options(&server, &folder)
    };
    let report = play(&options).await.unwrap();
    assert_eq!((report.counts().passed, report.counts().failed), (1, 1));
    assert!(crate::terminal::text(&report, true).contains("found in bad"));
}

#[tokio::test]
async fn what_the_application_cannot_do_is_skipped_with_its_reason_and_nothing_else_is() {
    let answers = |line: &str| match line {
        "POST /Groups" => (
            403,
            r#"{"status":"403","detail":"Snyk cannot do that"}"#.into(),
        ),
        "POST /Bulk" => (
            200,
            r#"{"Operations":[{"status":"403","response":{"detail":"Snyk cannot do that"}}]}"#
                .into(),
        ),
        line => usual(line),
    };
    let server = recorded(Arc::new(answers)).await;
    let made = json!({"status": [201]});
    let bulk = json!({"status": [200], "body": {"Operations": [{"status": "201"}]}});
    let folder = cases(
        "refusals",
        &[
            saving(case("group", "POST", "/Groups", made.clone()), "g", "id"),
            case(
                "its-member",
                "GET",
                "/Groups/{{g}}",
                json!({"status": [200]}),
            ),
            case("bulk", "POST", "/Bulk", bulk),
            case("user", "POST", "/Users", made),
            case("other", "GET", "/Users/u3", json!({"status": [200]})),
        ],
    );
    let refusals = Some(regex_lite::Regex::new("Snyk cannot").unwrap());
    let told = Options {
        refusals,
        ..options(&server, &folder)
    };
    let counts = |report: &Report| report.counts();
    let report = play(&told).await.unwrap();
    assert_eq!(
        counts(&report),
        crate::report::Counts {
            passed: 1,
            failed: 1,
            skipped: 3
        }
    );
    let crate::report::Outcome::Skipped { reason } = &report.profiles[0].cases[0].outcome else {
        panic!("{:?}", report.profiles[0].cases[0]);
    };
    assert!(reason.contains("Snyk cannot do that"), "{reason}");
    let report = play(&options(&server, &folder)).await.unwrap();
    assert_eq!(counts(&report).failed, 4);
}

/// One Group is there, which is neither made, renamed nor deleted; it can be given
/// members.
fn one_group(line: &str) -> (u16, String) {
    let group = r#"{"id":"g1","displayName":"Labs: viewer","members":[{"value":"u2"}]}"#;
    let refused = r#"{"status":"403","detail":"Snyk cannot do that"}"#;
    match line {
        "GET /Groups?filter=displayName%20eq%20%22Labs%3A%20viewer%22" => (
            200,
            format!(r#"{{"totalResults":1,"Resources":[{group}]}}"#),
        ),
        "GET /Groups/g1" => (200, group.into()),
        "POST /Groups" | "DELETE /Groups/g1" => (403, refused.into()),
        line => usual(line),
    }
}

#[tokio::test]
async fn a_group_that_is_there_stands_for_one_that_cannot_be_made_renamed_or_deleted() {
    let renamed = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let answers = move |line: &str| match line {
        // The first PUT has another name, the second one the name that is there.
        "PUT /Groups/g1" if renamed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => (
            403,
            r#"{"status":"403","detail":"Snyk cannot do that"}"#.into(),
        ),
        "PUT /Groups/g1" => one_group("GET /Groups/g1"),
        line => one_group(line),
    };
    let server = recorded(Arc::new(answers)).await;
    let group = |name: &str| json!({ "displayName": name, "members": [{ "value": "u2" }] });
    let with = |mut case: Value, body: Value| {
        case["request"]["body"] = body;
        case
    };
    let make = case("make", "POST", "/Groups", json!({ "status": [201] }));
    let put = json!({ "status": [200], "body": group("Team {{run}} anew") });
    let there = json!({ "status": [200], "body": group("Team {{run}} anew") });
    let folder = cases(
        "standing",
        &[
            saving(with(make, group("Team {{run}}")), "g", "id"),
            with(
                case("rename", "PUT", "/Groups/{{g}}", put),
                group("Team {{run}} anew"),
            ),
            case("members", "GET", "/Groups/{{g}}", there),
            case(
                "delete",
                "DELETE",
                "/Groups/{{g}}",
                json!({ "status": [204] }),
            ),
            case("gone", "GET", "/Groups/{{g}}", json!({ "status": [404] })),
            case("nobody", "GET", "/Groups/g2", json!({ "status": [200] })),
        ],
    );
    let told = Options {
        refusals: Some(regex_lite::Regex::new("Snyk cannot").unwrap()),
        groups: vec!["Labs: viewer".into()],
        ..options(&server, &folder)
    };
    let report = play(&told).await.unwrap();
    let reasons: Vec<_> = report.profiles[0]
        .cases
        .iter()
        .map(|case| match &case.outcome {
            crate::report::Outcome::Skipped { reason } => reason.clone(),
            crate::report::Outcome::Passed => "passed".into(),
            crate::report::Outcome::Failed(_) => "failed".into(),
        })
        .collect();
    let cannot = "the application cannot do it: Snyk cannot do that";
    assert_eq!(
        reasons,
        [
            format!("{cannot}; \"Labs: viewer\" stands for it"),
            format!("{cannot}; everything else of it was asked for again, and passed"),
            "passed".to_owned(),
            cannot.to_owned(),
            "it is there still, as delete was skipped".to_owned(),
            "failed".to_owned(),
        ]
    );
    let gone = Options {
        groups: vec!["Nobody's".into()],
        ..told
    };
    assert_eq!(play(&gone).await.unwrap().counts().failed, 6);
}
