//! Hydden.Control where it answers as no simulator does: successes that say that
//! nothing was done, and answers about another group.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::upstream::rest::tests::script::Script;

async fn hydden(lines: &[(&str, u16, &str)]) -> (Script, Arc<dyn Upstream>) {
    let script = Script::start(lines).await;
    let text = format!(
        "base_url = \"http://{}\"\ntoken = \"a-token\"\nwrite_groups = true\n\
         allow_plain_http = true",
        script.address
    );
    let upstream = open(&toml::from_str(&text).unwrap()).unwrap();
    (script, upstream)
}

fn ended(end: &Result<Outcome, UpstreamError>) -> &'static str {
    end.as_ref().err().map_or("done", UpstreamError::word)
}

const ERROR: &str = r#"{"error":{"code":"FORBIDDEN","message":"no"}}"#;

#[tokio::test]
async fn a_group_is_called_otherwise_when_the_answer_shows_it() {
    let rename = Operation::RenameGroup {
        name: "grp-1".into(),
        title: "New".into(),
    };
    let call = "PUT /api/v1/groups/grp-1 {\"name\":\"New\"}";
    for (status, answer, end) in [
        (200, r#"{"id":"grp-1","name":"New"}"#, "done"),
        (202, r#"{"id":"grp-1","name":"New"}"#, "unknown"),
        (200, ERROR, "rejected"),
    ] {
        let (script, upstream) = hydden(&[(call, status, answer)]).await;
        assert_eq!(ended(&upstream.apply(&rename).await), end, "{answer}");
        script.all_was_asked();
    }
    // Where it does not, the group does, or it stays open.
    for (status, answer) in [
        (200, r#"{"id":"grp-1","name":"Old"}"#),
        (200, r#"{"id":"grp-2","name":"New"}"#),
        (200, r#"{"group":{"id":"grp-1","name":"New"}}"#),
        (200, ""),
        (204, ""),
    ] {
        for (status_now, now, end) in [
            (200, r#"{"id":"grp-1","name":"New"}"#, "done"),
            (200, r#"{"id":"grp-1","name":"Old"}"#, "unknown"),
            (200, r#"{"id":"grp-2","name":"New"}"#, "unknown"),
            (404, ERROR, "unknown"),
        ] {
            let look = ("GET /api/v1/groups/grp-1", status_now, now);
            let (script, upstream) = hydden(&[(call, status, answer), look]).await;
            let end_is = upstream.apply(&rename).await;
            assert_eq!(ended(&end_is), end, "{status} {answer} {now}");
            script.all_was_asked();
        }
    }
}

#[tokio::test]
async fn a_group_is_made_or_gone_when_the_answer_says_so() {
    let name = || "grp-1".to_owned();
    let delete = Operation::DeleteGroup { name: name() };
    let call = "DELETE /api/v1/groups/grp-1";
    for (status, answer, end) in [
        (204, "", "done"),
        (200, ERROR, "rejected"),
        (200, "{}", "unknown"),
        (202, "", "unknown"),
    ] {
        let (script, upstream) = hydden(&[(call, status, answer)]).await;
        assert_eq!(ended(&upstream.apply(&delete).await), end, "{answer}");
        script.all_was_asked();
    }
    let create = Operation::CreateGroup {
        name: "New".into(),
        members: Vec::new(),
    };
    let call = "POST /api/v1/groups {\"name\":\"New\"}";
    for (status, answer, end) in [
        (201, r#"{"id":"grp-9","name":"New"}"#, "done"),
        (201, r#"{"id":"grp-1","name":"Crew"}"#, "unknown"),
        (201, r#"{"id":"","name":"New"}"#, "unknown"),
        (200, r#"{"id":"grp-9","name":"New"}"#, "unknown"),
        (201, ERROR, "rejected"),
    ] {
        let (script, upstream) = hydden(&[(call, status, answer)]).await;
        assert_eq!(ended(&upstream.apply(&create).await), end, "{answer}");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_list_that_gives_the_same_page_again_is_none_whatever_leads_on() {
    let page = |next: &str| {
        let info = json!({ "hasNextPage": true, "endCursor": next });
        json!({ "data": [{ "id": "acc-1", "email": "ann@example.com" }], "pageInfo": info })
            .to_string()
    };
    let pages = [page("c1"), page("c2")];
    let (script, upstream) = hydden(&[
        ("GET /api/v1/accounts?limit=50", 200, &pages[0]),
        ("GET /api/v1/accounts?limit=50&after=c1", 200, &pages[1]),
    ])
    .await;
    let refused = upstream.users().await.unwrap_err().to_string();
    assert!(refused.contains("came twice"), "{refused}");
    script.all_was_asked();
}
