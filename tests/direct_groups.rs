//! A user's `groups` (RFC 7643 section 4.1.2): computed from membership, shown
//! wherever a user is, part of the entity tag, and no way to write membership.

use drawbridge::http::Settings;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::wire::{Answer, Running, unreachable};

async fn one() -> Running {
    unreachable(&["acme"], Settings::default()).await
}

async fn post(bridge: &Running, path: &str, body: Value) -> Answer {
    bridge.ask("POST", path, &[], &body.to_string()).await
}

async fn user(bridge: &Running, name: &str) -> String {
    let answer = post(bridge, "/scim/v2/Users", json!({"userName": name})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(answer.json().get("groups").is_none());
    id(&answer)
}

async fn group(bridge: &Running, name: &str, members: &[&str]) -> String {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    let body = json!({"displayName": name, "members": members});
    let answer = post(bridge, "/scim/v2/Groups", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    id(&answer)
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn displays(user: &Value) -> Vec<&str> {
    let groups = user["groups"].as_array().into_iter().flatten();
    groups
        .map(|group| group["display"].as_str().unwrap())
        .collect()
}

fn tag(answer: &Answer) -> String {
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(answer.json()["meta"]["version"], tag.as_str());
    tag
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_shows_its_groups_wherever_it_is_shown() {
    let bridge = one().await;
    let (ada, bob) = (
        user(&bridge, "ada@x.org").await,
        user(&bridge, "bob@x.org").await,
    );
    let first = group(&bridge, "First \"1\"", &[&ada, &bob]).await;
    let second = group(&bridge, "Second", &[&ada]).await;
    let path = format!("/scim/v2/Users/{ada}");
    let read = bridge.get(&path).await.json();
    let address = read["meta"]["location"].as_str().unwrap();
    let base = address.strip_suffix(&format!("/Users/{ada}")).unwrap();
    let expected = json!([
        {"value": first, "$ref": format!("{base}/Groups/{first}"), "display": "First \"1\"", "type": "direct"},
        {"value": second, "$ref": format!("{base}/Groups/{second}"), "display": "Second", "type": "direct"},
    ]);
    assert_eq!(read["groups"], expected);

    let list = bridge.get("/scim/v2/Users").await.json();
    assert_eq!(list["Resources"][0]["groups"], expected);
    assert_eq!(displays(&list["Resources"][1]), ["First \"1\""]);
    for path in ["/scim/v2/Users/.search", "/scim/v2/.search"] {
        let found = post(&bridge, path, json!({"filter": "userName sw \"ada\""})).await;
        assert_eq!(found.json()["Resources"][0]["groups"], expected, "{path}");
    }
    let patch = json!({"Operations": [{"op": "add", "path": "title", "value": "T"}]});
    let patched = bridge.ask("PATCH", &path, &[], &patch.to_string()).await;
    assert_eq!(patched.json()["groups"], expected);
    let put = json!({"userName": "ada@x.org", "groups": [{"value": first}]});
    let replaced = bridge.ask("PUT", &path, &[], &put.to_string()).await;
    assert_eq!(
        replaced.json()["groups"],
        expected,
        "groups are no way to write membership"
    );

    let remove =
        json!({"Operations": [{"op": "remove", "path": format!("members[value eq \"{ada}\"]")}]});
    let path_of_group = format!("/scim/v2/Groups/{first}");
    let answer = bridge
        .ask("PATCH", &path_of_group, &[], &remove.to_string())
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(displays(&bridge.get(&path).await.json()), ["Second"]);
    let path_of_group = format!("/scim/v2/Groups/{second}");
    assert_eq!(
        bridge.ask("DELETE", &path_of_group, &[], "").await.status,
        204
    );
    assert!(bridge.get(&path).await.json().get("groups").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_projected_like_any_attribute() {
    let bridge = one().await;
    let ada = user(&bridge, "ada@x.org").await;
    let all = group(&bridge, "All", &[&ada]).await;
    for (query, groups) in [
        ("excludedAttributes=groups", Value::Null),
        ("attributes=userName", Value::Null),
        ("attributes=groups.value", json!([{"value": all}])),
        (
            "attributes=urn:ietf:params:scim:schemas:core:2.0:User:groups.display,userName",
            json!([{"display": "All"}]),
        ),
        (
            "excludedAttributes=groups.$ref,Groups.Value",
            json!([{"display": "All", "type": "direct"}]),
        ),
    ] {
        let one = bridge.get(&format!("/scim/v2/Users/{ada}?{query}")).await;
        assert_eq!(one.json()["groups"], groups, "{query}");
        let list = bridge.get(&format!("/scim/v2/Users?{query}")).await.json();
        assert_eq!(list["Resources"][0]["groups"], groups, "{query}");
        let whole = one.header("etag").unwrap().contains('-');
        assert_eq!(whole, !groups.is_null(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_out_of_date_when_the_groups_changed_and_a_write_does_not_mind() {
    let bridge = one().await;
    let ada = user(&bridge, "ada@x.org").await;
    let path = format!("/scim/v2/Users/{ada}");
    let alone = tag(&bridge.get(&path).await);
    assert_eq!(alone, "W/\"1\"");
    let all = group(&bridge, "All", &[&ada]).await;
    let has = |tag: &str| format!("If-None-Match: {tag}");
    let fresh = bridge.ask("GET", &path, &[&has(&alone)], "").await;
    assert_eq!(fresh.status, 200);
    let grouped = tag(&fresh);
    assert!(grouped.starts_with("W/\"1-"), "{grouped}");
    let same = bridge.ask("GET", &path, &[&has(&grouped)], "").await;
    assert_eq!((same.status, same.header("etag")), (304, Some(&*grouped)));

    let rename =
        json!({"Operations": [{"op": "replace", "path": "displayName", "value": "Everybody"}]});
    let path_of_group = format!("/scim/v2/Groups/{all}");
    let renamed = bridge
        .ask("PATCH", &path_of_group, &[], &rename.to_string())
        .await;
    assert_eq!(renamed.status, 204);
    let renamed = bridge.ask("GET", &path, &[&has(&grouped)], "").await;
    assert_eq!(renamed.status, 200);
    assert_ne!(tag(&renamed), grouped);

    let retitle =
        json!({"Operations": [{"op": "replace", "path": "title", "value": "T"}]}).to_string();
    let insists = |tag: &str| format!("If-Match: {tag}");
    let written = bridge
        .ask("PATCH", &path, &[&insists(&grouped)], &retitle)
        .await;
    assert_eq!(written.status, 200);
    assert!(tag(&written).starts_with("W/\"2-"));
    let stale = bridge
        .ask("PATCH", &path, &[&insists(&grouped)], &retitle)
        .await;
    stale.refused(412);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_more_memberships_than_are_read_at_once_is_whole() {
    let bridge = one().await;
    let names: Vec<String> = (0..101).map(|n| format!("user{n}@x.org")).collect();
    let made = stream::iter(&names).map(|name| user(&bridge, name));
    let ids: Vec<String> = made.buffer_unordered(16).collect().await;
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let made = stream::iter(0..40).map(|n| {
        let (bridge, members) = (&bridge, &members);
        async move { group(bridge, &format!("Group {n}"), members).await }
    });
    assert_eq!(
        made.buffer_unordered(16).collect::<Vec<_>>().await.len(),
        40
    );
    let list = bridge.get("/scim/v2/Users?count=200").await.json();
    let users = list["Resources"].as_array().unwrap();
    assert_eq!((users.len(), &list["itemsPerPage"]), (101, &json!(101)));
    assert!(users.iter().all(|user| displays(user).len() == 40));
}
