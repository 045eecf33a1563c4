//! Bodies: their limits, media types, chunks and time-outs, and answers of any size.

use std::time::Duration;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn limits_end_in_the_status_that_names_them() {
    let bridge = one().await;
    let long = format!("/scim/v2/Users?x={}", "a".repeat(8 * 1024));
    bridge.get(&long).await.refused(414);
    let fits = format!("/scim/v2/Users?x={}", "a".repeat(8 * 1024 - 17));
    assert_eq!(bridge.get(&fits).await.status, 200);
    let big = format!("X-Big: {}", "a".repeat(16 * 1024));
    bridge
        .ask("GET", "/scim/v2/Users", &[&big], "")
        .await
        .refused(431);
    let many: Vec<String> = (0..91).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    bridge
        .ask("GET", "/scim/v2/Users", &many, "")
        .await
        .refused(431);
    let body = " ".repeat(1024 * 1024 + 1);
    let answer = bridge.ask("POST", "/scim/v2/Users", &[], &body).await;
    assert!(answer.refused(413).contains("1048576"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_measured_while_it_streams() {
    let settings = Settings {
        body_limit: 4096,
        ..Settings::default()
    };
    let bridge = unreachable(&["acme"], settings).await;
    let mut request = format!(
        "POST /scim/v2/Users HTTP/1.1\r\nHost: h\r\nAuthorization: {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for _ in 0..100 {
        request.push_str("400\r\n");
        request.push_str(&" ".repeat(1024));
        request.push_str("\r\n");
    }
    request.push_str("0\r\n\r\n");
    bridge.send(request.as_bytes()).await.refused(413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_a_time_out() {
    let settings = Settings {
        body_timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let bridge = unreachable(&["acme"], settings).await;
    let request = format!(
        "POST /scim/v2/Users HTTP/1.1\r\nHost: h\r\nAuthorization: {TOKEN}\r\nContent-Length: 10\r\n\r\n{{"
    );
    bridge.send(request.as_bytes()).await.refused(408);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_taken_as_json_under_its_names_only() {
    let bridge = one().await;
    for (n, kind) in [
        "application/json",
        "application/scim+json;charset=UTF-8",
        "Application/JSON",
        "",
    ]
    .iter()
    .enumerate()
    {
        let body = json!({"userName": format!("u{n}@example.com")}).to_string();
        let kind = format!("Content-Type: {kind}");
        let answer = bridge.ask("POST", "/scim/v2/Users", &[&kind], &body).await;
        assert_eq!(answer.status, 201, "{kind} {}", answer.text());
    }
    for line in ["Content-Type: text/xml", "Content-Encoding: gzip"] {
        bridge
            .ask("POST", "/scim/v2/Users", &[line], "{}")
            .await
            .refused(415);
    }
    let ignored = ["Content-Type: text/html", "Accept: image/png"];
    let answer = bridge.ask("GET", "/scim/v2/Users", &ignored, "").await;
    assert_eq!(answer.status, 200);
    for broken in ["", "{", "[]", "{\"userName\":1,\"userName\":2}", "nonsense"] {
        let answer = bridge.ask("POST", "/scim/v2/Users", &[], broken).await;
        answer.refused(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_are_refused_and_the_answer_still_arrives() {
    let bridge = one().await;
    let length = 100 * 1024 * 1024;
    let mut declared = format!(
        "POST /scim/v2/Users HTTP/1.1\r\nHost: h\r\nAuthorization: {TOKEN}\r\nContent-Length: {length}\r\n\r\n"
    );
    declared.push_str(&" ".repeat(length));
    bridge.send(declared.as_bytes()).await.refused(413);
    let mut chunked = format!(
        "POST /scim/v2/Users HTTP/1.1\r\nHost: h\r\nAuthorization: {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n"
    );
    chunked.push_str(&" ".repeat(length));
    chunked.push_str("\r\n0\r\n\r\n");
    bridge.send(chunked.as_bytes()).await.refused(413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_many_chunks_arrives_whole_alone_and_in_a_list() {
    let bridge = one().await;
    let mut ids = Vec::new();
    for start in (0..1_200).step_by(40) {
        let some = (start..start + 40).map(|n| {
            let bridge = &bridge;
            async move { id(&user(bridge, &format!("m{n}@example.com")).await) }
        });
        ids.extend(futures_util::future::join_all(some).await);
    }
    ids.sort();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let place = format!(
        "/scim/v2/Groups/{}",
        id(&group(&bridge, "Many", &members).await)
    );
    group(&bridge, "Few", &members[..2]).await;
    let shown = |group: &Value| {
        let members = group["members"].as_array().unwrap().iter();
        let mut shown: Vec<String> = members
            .map(|m| m["value"].as_str().unwrap().to_owned())
            .collect();
        shown.sort();
        shown
    };
    let alone = bridge.get(&place).await;
    assert_eq!(shown(&alone.json()), ids);
    let head = bridge.ask("HEAD", &place, &[], "").await;
    assert_eq!(
        head.header("content-length"),
        alone.header("content-length")
    );
    let list = bridge.get("/scim/v2/Groups").await;
    assert_eq!(list.header("transfer-encoding"), Some("chunked"));
    assert_eq!(shown(&list.json()["Resources"][0]), ids);
    assert_eq!(shown(&list.json()["Resources"][1]), ids[..2]);
}
