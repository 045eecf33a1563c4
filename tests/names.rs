//! Names that look the same are the same (RFC 7644 section 7.8, reliability:
//! S-18), and what a tag or a count says is taken at its word.

use serde_json::json;

use crate::support::{World, user, values};

#[tokio::test]
async fn user_names_that_look_the_same_are_the_same() {
    let world = World::start().await;
    let named = |name: &str| {
        let mut body = user("somebody");
        body["userName"] = name.into();
        body.as_object_mut().expect("an object").remove("emails");
        body
    };
    for (first, second) in [
        ("jos\u{e9}", "JOSE\u{301}"),
        ("\u{ff41}bc", "abc"),
        ("stra\u{df}e", "STRA\u{df}E"),
    ] {
        let id = world.post("/Users", named(first)).await.expect(201).id();
        let again = world.post("/Users", named(second)).await.expect(409);
        assert_eq!(again.body["scimType"], "uniqueness", "{first} {second}");
        let filter = format!("/Users?filter=userName%20eq%20%22{}%22", encoded(second));
        let found = world.get(&filter).await.expect(200);
        assert_eq!(found.body["Resources"][0]["id"], id, "{second}");
    }
    for unseen in ["a\u{200b}b", "a\u{0}b", "a\u{ad}b", "a\u{202e}b"] {
        let refused = world.post("/Users", named(unseen)).await.expect(400);
        assert_eq!(refused.body["scimType"], "invalidValue", "{unseen:?}");
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_member_is_the_same_in_any_letters_in_writes_and_in_filters() {
    let world = World::start().await;
    let ids = world.users("cased", 2).await;
    let group = world.group("cased", &ids).await;
    let upper = ids[0].to_uppercase();
    let found = world
        .get(&format!(
            "/Groups?filter=members.value%20eq%20%22{upper}%22"
        ))
        .await;
    assert_eq!(found.body["totalResults"], 1);
    let found = world
        .get(&format!(
            "/Users?filter=groups.value%20eq%20%22{}%22",
            group.to_uppercase()
        ))
        .await;
    assert_eq!(found.body["totalResults"], 2);
    let path = format!("members[value eq \"{upper}\"]");
    let remove = json!([{ "op": "remove", "path": path }]);
    assert!(
        world
            .patch(&format!("/Groups/{group}"), remove)
            .await
            .status
            .is_success()
    );
    assert_eq!(
        world.members(&group).await,
        ids[1..].iter().cloned().collect()
    );
    let add = json!([{ "op": "add", "path": "members", "value": values(&[upper]) }]);
    assert!(
        world
            .patch(&format!("/Groups/{group}"), add)
            .await
            .status
            .is_success()
    );
    assert_eq!(world.members(&group).await.len(), 2);
}

#[tokio::test]
async fn a_version_is_found_as_it_is_shown() {
    let world = World::start().await;
    let id = world.user("shown").await;
    world.group("shown", std::slice::from_ref(&id)).await;
    let shown = world.get(&format!("/Users/{id}")).await.expect(200);
    let version = shown.body["meta"]["version"].as_str().expect("a version");
    assert!(version.contains('-'), "{version}");
    let escaped = version.replace('"', "\\\"");
    let filter = encoded(&format!("id eq \"{id}\" and meta.version eq \"{escaped}\""));
    let found = world
        .get(&format!("/Users?filter={filter}"))
        .await
        .expect(200);
    assert_eq!(found.body["totalResults"], 1, "{version}");
}

#[tokio::test]
async fn a_lost_tag_changes_nothing() {
    let world = World::start().await;
    let id = world.user("tagged").await;
    let url = format!("{}/Users/{id}", world.base);
    for tag in ["", "  "] {
        let request = world.client.delete(&url).bearer_auth(&world.token);
        let answer = request
            .header("if-match", tag)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 400, "{tag:?}");
    }
    world.get(&format!("/Users/{id}")).await.expect(200);
}

#[tokio::test]
async fn strictly_a_removal_that_selects_nobody_has_no_target() {
    let world = World::with("strict = true", &["--empty"]).await;
    let ids = world.users("hit", 2).await;
    let group = world.group("hit", &ids[..1]).await;
    let remove =
        |id: &str| json!([{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }]);
    let path = format!("/Groups/{group}");
    for nobody in [ids[1].as_str(), "nobody"] {
        let refused = world.patch(&path, remove(nobody)).await.expect(400);
        assert_eq!(refused.body["scimType"], "noTarget", "{nobody}");
    }
    assert!(
        world
            .patch(&path, remove(&ids[0]))
            .await
            .status
            .is_success()
    );
    assert!(world.members(&group).await.is_empty());
    let lenient = World::start().await;
    let group = lenient.group("hit", &[]).await;
    let answer = lenient
        .patch(&format!("/Groups/{group}"), remove("nobody"))
        .await;
    assert!(
        answer.status.is_success(),
        "a removal may be sent twice: {answer:?}"
    );
}
