//! The SCIM front from outside: the guard, the limits, the media types,
//! versions, locations, discovery, and that every refusal is a SCIM Error.

use drawbridge::http::Settings;
use serde_json::{Value, json};

use super::wire::{Answer, Running, TOKEN, unreachable};

mod bodies;
mod discovery;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

async fn one() -> Running {
    unreachable(&["acme"], Settings::default()).await
}

async fn user(bridge: &Running, name: &str) -> Answer {
    let body =
        json!({"schemas": [USER], "userName": name, "name": {"givenName": "A", "familyName": "B"}});
    let answer = bridge
        .ask("POST", "/scim/v2/Users", &[], &body.to_string())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer
}

async fn group(bridge: &Running, name: &str, members: &[&str]) -> Answer {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    let body = json!({"schemas": [GROUP], "displayName": name, "members": members});
    let answer = bridge
        .ask("POST", "/scim/v2/Groups", &[], &body.to_string())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_without_a_token_whatever_the_path() {
    let bridge = unreachable(&["acme", "other"], Settings::default()).await;
    let paths = [
        "/",
        "/scim/v2",
        "/acme/scim/v2",
        "/acme/scim/v2/Users",
        "/acme/scim/v2/Users/1",
        "/acme/scim/v2/Groups?count=1",
        "/acme/scim/v2/ServiceProviderConfig",
        "/acme/scim/v2/Schemas",
        "/acme/scim/v2/Me",
        "/acme/scim/v2/Bulk",
        "/acme/scim/v2/nothing",
        "/nobody/scim/v2/Users",
        "/%61cme/scim/v2/Users",
        "/ACME/scim/v2/Users",
        "/metrics",
        "/livez/x",
        "/livezz",
    ];
    let mut seen = Vec::new();
    for path in paths {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X",
        ] {
            for token in [
                "",
                "Authorization: \r\n",
                "Authorization: Bearer\r\n",
                "Authorization: Bearer wrong\r\n",
            ] {
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{token}\r\n"
                );
                let answer = bridge.send(request.as_bytes()).await;
                assert_eq!(answer.status, 401, "{method} {path} {token}");
                assert!(
                    answer
                        .header("www-authenticate")
                        .unwrap()
                        .starts_with("Bearer")
                );
                if method != "HEAD" {
                    answer.refused(401);
                    seen.push(answer.body);
                }
            }
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "refusals differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_paths_are_refused_before_anybody_is_asked_for_a_token() {
    let bridge = one().await;
    for path in [
        "/scim/v2/Users/%2e%2e/Groups",
        "/scim/v2/../v2/Users",
        "/scim/v2/./Users",
        "/scim/v2%2fUsers",
        "/scim/v2/Users%5c",
        "/scim/v2/Users/%00",
        "/scim/v2/Users/%252e",
        "//scim/v2/Users",
        "/scim/v2//Users",
        "/scim/v2/Users;a=b",
        "/scim/v2/Users/%3b",
        "/scim/v2/Users/%ff",
        "/scim/v2/Users/%c0%ae",
        "/scim/v2/Users/%zz",
        "/livez/../scim/v2/Users",
        "//livez",
        "*",
    ] {
        for token in [String::new(), format!("Authorization: {TOKEN}\r\n")] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{token}\r\n");
            bridge.send(request.as_bytes()).await.refused(400);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_liveness_is_open_and_it_holds_no_data() {
    let bridge = one().await;
    let answer = bridge.send(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"status": "live"}))
    );
    let answer = bridge
        .send(b"POST /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    answer.refused(405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_taken_bare_and_in_any_letter_case() {
    let bridge = one().await;
    for scheme in ["Bearer ", "bearer ", "BEARER  ", ""] {
        let request = format!(
            "GET /acme/scim/v2/Users HTTP/1.1\r\nHost: h\r\nAuthorization: {scheme}{TOKEN}\r\n\r\n"
        );
        assert_eq!(
            bridge.send(request.as_bytes()).await.status,
            200,
            "{scheme}"
        );
    }
    let twice = format!("Authorization: Bearer {TOKEN}");
    bridge
        .ask("GET", "/scim/v2/Users", &[&twice], "")
        .await
        .refused(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_may_leave_out_the_only_connection_and_end_in_a_slash() {
    let bridge = one().await;
    for base in ["/scim/v2", "/acme/scim/v2"] {
        for end in ["", "/", "?", "/?", "?startIndex=1"] {
            let path = format!("{base}/Users{end}");
            assert_eq!(bridge.get(&path).await.status, 200, "{path}");
        }
    }
    let several = unreachable(&["acme", "other"], Settings::default()).await;
    several.get("/scim/v2/Users").await.refused(404);
    assert_eq!(several.get("/other/scim/v2/Users").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_scim_errors_that_help() {
    let bridge = one().await;
    for path in ["/scim/v2/users", "/scim/v2/Users/1/2", "/scim/v2/Licenses"] {
        bridge.get(path).await.refused(404);
    }
    let detail = bridge.get("/Users").await.refused(404);
    assert!(detail.contains("/acme/scim/v2"), "{detail}");
    for (method, path, allow) in [
        ("DELETE", "/scim/v2/Users", "GET, POST, HEAD, OPTIONS"),
        (
            "POST",
            "/scim/v2/Users/1",
            "GET, PATCH, PUT, DELETE, HEAD, OPTIONS",
        ),
        ("TRACE", "/scim/v2/Groups", "GET, POST, HEAD, OPTIONS"),
        ("POST", "/scim/v2/Schemas", "GET, HEAD, OPTIONS"),
    ] {
        let answer = bridge.ask(method, path, &[], "").await;
        answer.refused(405);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        let answer = bridge.ask("OPTIONS", path, &[], "").await;
        assert_eq!((answer.status, answer.header("allow")), (204, Some(allow)));
        assert!(answer.body.is_empty());
    }
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for path in [
            "/Me",
            "/Me/",
            "/Me/a",
            "/Me/a/b",
            "/Me/.search",
            "/Me?attributes=id",
        ] {
            let answer = bridge
                .ask(method, &format!("/scim/v2{path}"), &[], "")
                .await;
            assert_eq!(answer.status, 501, "{method} {path}");
            if method != "HEAD" {
                assert!(answer.refused(501).contains("/Users/{id}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_it_is_and_that_it_must_not_be_kept() {
    let bridge = one().await;
    for path in ["/scim/v2/Users", "/scim/v2/nothing", "/scim/v2/Users/1"] {
        let answer = bridge.get(path).await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/scim+json; charset=utf-8")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.header("x-request-id").unwrap().is_empty());
    }
    let own = bridge
        .ask("GET", "/scim/v2/Users", &["X-Request-Id: abc-1"], "")
        .await;
    assert_eq!(own.header("x-request-id"), Some("abc-1"));
    let odd = bridge
        .ask("GET", "/scim/v2/Users", &["X-Request-Id: a b<"], "")
        .await;
    assert_ne!(odd.header("x-request-id"), Some("a b<"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_lives_from_post_to_delete_with_versions_and_locations() {
    let bridge = one().await;
    let made = user(&bridge, "life@example.com").await;
    let place = format!("/scim/v2/Users/{}", id(&made));
    let url = format!("http://{}{place}", bridge.address);
    assert_eq!(made.header("location"), Some(url.as_str()));
    assert_eq!(made.json()["meta"]["location"], url.as_str());
    assert_eq!(made.header("drawbridge-pending"), Some("true"));
    let tag = made.header("etag").unwrap().to_owned();
    assert_eq!(made.json()["meta"]["version"], tag.as_str());

    let read = bridge.get(&place).await;
    assert_eq!((read.status, read.json()), (200, made.json()));
    let head = bridge.ask("HEAD", &place, &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.header("content-length"),
        Some(read.body.len().to_string().as_str())
    );
    let known = format!("If-None-Match: {tag}");
    let same = bridge.ask("GET", &place, &[&known], "").await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), Some(tag.as_str()));

    let body = json!({"userName": "life@example.com", "title": "T"}).to_string();
    let stale = bridge
        .ask("PUT", &place, &["If-Match: W/\"999\""], &body)
        .await;
    stale.refused(412);
    bridge
        .ask("PUT", &place, &["If-Match: x"], &body)
        .await
        .refused(400);
    let put = bridge
        .ask("PUT", &place, &[&format!("If-Match: {tag}")], &body)
        .await;
    assert_eq!((put.status, put.json()["title"].as_str()), (200, Some("T")));
    assert_ne!(put.header("etag"), Some(tag.as_str()));

    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": "title", "value": "U"}]});
    let patched = bridge.ask("PATCH", &place, &[], &patch.to_string()).await;
    assert_eq!(
        (patched.status, patched.json()["title"].as_str()),
        (200, Some("U"))
    );
    let cut = bridge
        .get(&format!("{place}?attributes=title"))
        .await
        .json();
    assert_eq!(
        (cut["title"].as_str(), cut.get("userName")),
        (Some("U"), None)
    );

    bridge
        .ask("DELETE", &place, &["If-Match: \"1\""], "")
        .await
        .refused(412);
    let gone = bridge.ask("DELETE", &place, &[], "").await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    bridge.get(&place).await.refused(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_show_members_unless_they_are_not_wanted() {
    let bridge = one().await;
    let first = id(&user(&bridge, "a@example.com").await);
    let second = id(&user(&bridge, "b@example.com").await);
    let made = group(&bridge, "Team", &[&first, &second]).await;
    let mut members: Vec<Value> = made.json()["members"].as_array().unwrap().clone();
    members.sort_by_key(|m| m["value"].as_str().map(str::to_owned));
    let place_of = |id: &str| {
        made.json()["meta"]["location"]
            .as_str()
            .unwrap()
            .split("/Groups/")
            .next()
            .unwrap()
            .to_owned()
            + "/Users/"
            + id
    };
    let shown = |id: &str| json!({"value": id, "$ref": place_of(id), "type": "User"});
    assert_eq!(members, [shown(&first), shown(&second)]);
    let place = format!("/scim/v2/Groups/{}", id(&made));
    assert_eq!(bridge.get(&place).await.json(), made.json());
    for query in ["excludedAttributes=members", "attributes=displayName"] {
        let answer = bridge.get(&format!("{place}?{query}")).await;
        assert_eq!(answer.json().get("members"), None, "{query}");
        let listed = bridge.get(&format!("/scim/v2/Groups?{query}")).await.json();
        assert_eq!(listed["Resources"][0].get("members"), None, "{query}");
    }
    let values = bridge
        .get(&format!("{place}?attributes=members.value"))
        .await
        .json();
    assert_eq!(values["members"][0].as_object().unwrap().len(), 1);
    group(&bridge, "Empty", &[]).await;
    let listed = bridge.get("/scim/v2/Groups").await.json();
    assert_eq!(
        (
            listed["totalResults"].as_u64(),
            listed["itemsPerPage"].as_u64()
        ),
        (Some(2), Some(2))
    );
    assert_eq!(
        listed["Resources"][0]["members"].as_array().unwrap().len(),
        2
    );
    assert_eq!(listed["Resources"][1]["members"], json!([]));

    let patch =
        json!({"Operations": [{"op": "remove", "path": format!("members[value eq \"{first}\"]")}]});
    let patched = bridge.ask("PATCH", &place, &[], &patch.to_string()).await;
    assert_eq!((patched.status, patched.body.len()), (204, 0));
    assert_eq!(
        patched.header("etag"),
        bridge.get(&place).await.header("etag")
    );
    let asked = bridge
        .ask(
            "PATCH",
            &format!("{place}?attributes=members"),
            &[],
            &patch.to_string(),
        )
        .await;
    assert_eq!(
        (
            asked.status,
            asked.json()["members"].as_array().unwrap().len()
        ),
        (200, 1)
    );
    let renamed = json!({"displayName": "Team two"}).to_string();
    let put = bridge.ask("PUT", &place, &[], &renamed).await;
    assert_eq!(
        (put.status, put.json()["members"].as_array().unwrap().len()),
        (200, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_count_what_they_hold() {
    let bridge = one().await;
    for n in 0..3 {
        user(&bridge, &format!("u{n}@example.com")).await;
    }
    let list = bridge
        .get("/scim/v2/Users?startIndex=2&count=1")
        .await
        .json();
    assert_eq!(
        list["schemas"],
        json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"])
    );
    assert_eq!(
        (
            &list["totalResults"],
            &list["startIndex"],
            &list["itemsPerPage"]
        ),
        (&json!(3), &json!(2), &json!(1))
    );
    assert_eq!(list["Resources"][0]["userName"], "u1@example.com");
    let none = bridge
        .get("/scim/v2/Users?filter=userName%20eq%20%22nobody%22")
        .await;
    assert_eq!(
        (none.status, &none.json()["totalResults"]),
        (200, &json!(0))
    );
    let totals = bridge.get("/scim/v2/Groups?count=0").await.json();
    assert_eq!(
        (&totals["totalResults"], &totals["Resources"]),
        (&json!(0), &json!([]))
    );
    let wrong = bridge.get("/scim/v2/Users?filter=userName%20qq%201").await;
    wrong.refused(400);
    assert_eq!(wrong.json()["scimType"], "invalidFilter");
}
