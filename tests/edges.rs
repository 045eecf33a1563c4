//! The SCIM front where it hurts: bodies that never end, lists that name
//! nobody, one thing said twice, conditions on reads.

use std::time::Duration;

use drawbridge::http::Settings;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::wire::{Running, TOKEN, unreachable};

async fn one() -> Running {
    unreachable(&["acme"], Settings::default()).await
}

/// Sends `head` and then a byte of chunked body now and then; whether the
/// server ended the connection within `patience`.
async fn ends(bridge: &Running, head: &str, patience: Duration) -> bool {
    let mut stream = TcpStream::connect(bridge.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let drip = tokio::spawn(async move {
        while write.write_all(b"1\r\n \r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut all = Vec::new();
    let ended = tokio::time::timeout(patience, read.read_to_end(&mut all)).await;
    drip.abort();
    assert!(all.starts_with(b"HTTP/1.1 "), "{head}: no answer");
    ended.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_holds_a_connection_with_a_body_that_never_ends() {
    let bridge = one().await;
    let chunked = "Host: x\r\nTransfer-Encoding: chunked\r\n";
    for head in [
        format!("POST /scim/v2/Users HTTP/1.1\r\n{chunked}\r\n"),
        format!("GET /livez HTTP/1.1\r\n{chunked}\r\n"),
        format!("GET /scim/v2/Users HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n{chunked}\r\n"),
        format!(
            "POST /scim/v2/Users HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: text/plain\r\n{chunked}\r\n"
        ),
    ] {
        assert!(ends(&bridge, &head, Duration::from_secs(8)).await, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_that_was_read_leaves_the_connection_open() {
    let bridge = one().await;
    let mut stream = TcpStream::connect(bridge.address).await.unwrap();
    for _ in 0..2 {
        let request = format!(
            "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = vec![0; 4096];
        let count = stream.read(&mut read).await.unwrap();
        assert!(read[..count].starts_with(b"HTTP/1.1 400"), "closed");
    }
}

async fn posted(bridge: &Running, endpoint: &str, body: &Value) -> String {
    let path = format!("/scim/v2/{endpoint}");
    let answer = bridge.ask("POST", &path, &[], &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn members(bridge: &Running, group: &str) -> usize {
    let answer = bridge.get(&format!("/scim/v2/Groups/{group}")).await;
    answer.json()["members"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_list_empties_a_group_by_put() {
    let bridge = one().await;
    let user = posted(&bridge, "Users", &json!({"userName": "a@example.com"})).await;
    let group = json!({"displayName": "G", "members": [{"value": user}]});
    let group = posted(&bridge, "Groups", &group).await;
    let put = async |members: Value| {
        let body = json!({"displayName": "G", "members": members}).to_string();
        let path = format!("/scim/v2/Groups/{group}");
        bridge.ask("PUT", &path, &[], &body).await
    };
    for value in [json!(null), json!(""), json!({})] {
        assert_eq!(put(value.clone()).await.status, 200, "{value}");
        assert_eq!(members(&bridge, &group).await, 1, "{value}");
    }
    for value in [json!([null]), json!([{}]), json!([{"value": null}])] {
        put(value.clone()).await.refused(400);
        assert_eq!(members(&bridge, &group).await, 1, "{value}");
    }
    assert_eq!(put(json!([])).await.status, 200);
    assert_eq!(members(&bridge, &group).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_insists_on_another_version_is_not_answered() {
    let bridge = one().await;
    let user = posted(&bridge, "Users", &json!({"userName": "a@example.com"})).await;
    let path = format!("/scim/v2/Users/{user}");
    for (tag, status) in [("W/\"1\"", 200), ("*", 200), ("W/\"7\"", 412), ("7", 400)] {
        let condition = format!("If-Match: {tag}");
        let answer = bridge.ask("GET", &path, &[&condition], "").await;
        assert_eq!(answer.status, status, "{tag}");
        assert!(status < 400 || !answer.refused(status).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_a_list_in_a_body_also_over_both_types() {
    let bridge = one().await;
    let mut users = Vec::new();
    for name in ["a", "b", "h"] {
        let user = json!({"userName": format!("{name}@example.com"), "externalId": name});
        users.push(posted(&bridge, "Users", &user).await);
    }
    for name in ["G", "H"] {
        let group = json!({"displayName": name, "externalId": name.to_lowercase(), "members": [{"value": users[0]}]});
        posted(&bridge, "Groups", &group).await;
    }
    let search = async |path: &str, body: Value| {
        let path = format!("/scim/v2{path}/.search");
        let answer = bridge.ask("POST", &path, &[], &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let found = search(
        "/Users",
        json!({"filter": "externalId eq \"b\"", "count": 5}),
    )
    .await;
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0]["userName"], "b@example.com");
    let found = search(
        "/Groups",
        json!({"attributes": ["members.value"], "count": 1}),
    )
    .await;
    let members = json!([{"value": users[0]}]);
    assert_eq!(found["totalResults"], 2);
    assert_eq!(found["Resources"][0]["members"], members);

    // Every page of two, with and without members, and what they add up to.
    for body in [json!({}), json!({"excludedAttributes": ["members"]})] {
        let mut seen = Vec::new();
        for start in [1, 3, 5, 7] {
            let mut body = body.clone();
            body["startIndex"] = start.into();
            body["count"] = 2.into();
            // Without what can be assigned, which is in the list too.
            body["filter"] =
                "meta.resourceType eq \"User\" or meta.resourceType eq \"Group\"".into();
            let page = search("", body).await;
            assert_eq!(page["totalResults"], 5);
            assert_eq!(page["startIndex"], start);
            let list = page["Resources"].as_array().unwrap();
            assert_eq!(page["itemsPerPage"], list.len());
            seen.extend(list.iter().map(|r| r["meta"]["resourceType"].clone()));
        }
        assert_eq!(seen, ["User", "User", "User", "Group", "Group"]);
    }
    let found = search("", json!({"filter": "externalId eq \"h\""})).await;
    assert_eq!(found["totalResults"], 2);
    let found = search("", json!({"filter": "displayName eq \"H\"", "count": 0})).await;
    assert_eq!(
        (
            &found["totalResults"],
            found["Resources"].as_array().unwrap().len()
        ),
        (&json!(1), 0)
    );

    for body in [
        "[]",
        "",
        "{\"count\":\"x\"}",
        "{\"filter\":\"userName\"}",
        "{\"filter\":1}",
        "{\"attributes\":[1]}",
    ] {
        bridge
            .ask("POST", "/scim/v2/.search", &[], body)
            .await
            .refused(400);
    }
}
