//! What a strict connection refuses of lists, searches and projections, and
//! that a lenient one takes the same; that the configuration tells the two
//! apart; and a PATCH of members that says nobody.

use serde_json::{Value, json};

use super::support::World;

const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn both() -> (World, World) {
    let strict = World::with("strict = true", &["--empty"]).await;
    (World::start().await, strict)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_search_is_the_message_and_nothing_else() {
    let (lenient, strict) = both().await;
    for (body, kind) in [
        (json!({"filter": "userName pr"}), "invalidSyntax"),
        (json!({"schemas": [], "count": 1}), "invalidSyntax"),
        (json!({"schemas": SEARCH}), "invalidSyntax"),
        (json!({"schemas": [SEARCH, SEARCH]}), "invalidSyntax"),
        (json!({"schemas": [ENTERPRISE]}), "invalidSyntax"),
        (
            json!({"schemas": [SEARCH], "filters": "x"}),
            "invalidSyntax",
        ),
        (
            json!({"schemas": [SEARCH], "noSuch": null}),
            "invalidSyntax",
        ),
        (
            json!({"schemas": [SEARCH], "attributes": "userName"}),
            "invalidValue",
        ),
        (
            json!({"schemas": [SEARCH], "attributes": ["noSuch"]}),
            "invalidValue",
        ),
        (
            json!({"schemas": [SEARCH], "excludedAttributes": ["noSuch"]}),
            "invalidValue",
        ),
        (
            json!({"schemas": [SEARCH], "sortOrder": "Descending"}),
            "invalidValue",
        ),
        (
            json!({"schemas": [SEARCH], "sortBy": "noSuch"}),
            "invalidPath",
        ),
    ] {
        for path in [
            "/Users/.search",
            "/Groups/.search",
            "/Roles/.search",
            "/Entitlements/.search",
            "/.search",
        ] {
            let lists = lenient.post(path, body.clone()).await.expect(200);
            assert!(lists.body["totalResults"].is_u64(), "{path} {body}");
            let refused = strict.post(path, body.clone()).await.expect(400);
            assert_eq!(
                refused.body["scimType"], kind,
                "{path} {body}: {}",
                refused.body
            );
        }
    }
    strict.user("found").await;
    for body in [
        json!({"schemas": [SEARCH]}),
        json!({"schemas": [SEARCH], "filter": "userName pr", "sortBy": "userName", "sortOrder": "descending",
            "startIndex": 1, "count": 5, "attributes": ["userName"], "cursor": null}),
        json!({"schemas": [SEARCH], "filter": "userName pr", "cursor": "", "excludedAttributes": ["name.givenName"]}),
    ] {
        let found = strict
            .post("/Users/.search", body.clone())
            .await
            .expect(200);
        assert_eq!(found.body["totalResults"], 1, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_list_names_what_there_is_and_says_it_once() {
    let (lenient, strict) = both().await;
    for (query, kind) in [
        ("sortBy=noSuch", "invalidPath"),
        ("sortBy=department", "invalidPath"),
        ("sortBy=password", "invalidPath"),
        ("sortBy=userName&sortOrder=DESCENDING", "invalidValue"),
        ("sortOrder=", "invalidValue"),
        ("attributes=noSuch", "invalidValue"),
        ("attributes=userName,name.noSuch", "invalidValue"),
        ("attributes=department", "invalidValue"),
        ("attributes=password", "invalidValue"),
        ("attributes=urn:example:none:1.0:User:x", "invalidValue"),
        ("excludedAttributes=noSuch", "invalidValue"),
        ("attributes=userName&attributes=title", "invalidValue"),
        ("count=1&count=1", "invalidValue"),
        ("startIndex=1&startIndex=2", "invalidValue"),
        ("x=1&x=2", "invalidValue"),
    ] {
        for path in ["/Users", ""] {
            let path = format!("{path}?{query}");
            lenient.get(&path).await.expect(200);
            let refused = strict.get(&path).await.expect(400);
            assert_eq!(refused.body["scimType"], kind, "{path}: {}", refused.body);
        }
    }
    let id = strict.user("shown").await;
    for known in [
        "attributes=userName,NAME.familyName".to_owned(),
        format!("attributes={ENTERPRISE}:department,{ENTERPRISE}"),
        format!("sortBy={ENTERPRISE}:department&sortOrder=descending"),
        "excludedAttributes=emails,,&unknown=1".to_owned(),
    ] {
        for path in ["/Users", "", &format!("/Users/{id}")] {
            strict.get(&format!("{path}?{known}")).await.expect(200);
        }
    }
    // What one type has may be asked of both together.
    let path = "?attributes=userName,members.value";
    strict.get(path).await.expect(200);
    strict.get(&format!("/Users{path}")).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_write_shows_only_what_there_is() {
    let (lenient, strict) = both().await;
    for world in [&lenient, &strict] {
        let id = world.user("written").await;
        let title = json!([{"op": "replace", "path": "title", "value": "T"}]);
        let before = world.get(&format!("/Users/{id}")).await.body;
        let path = format!("/Users/{id}?attributes=noSuch");
        let answer = world.patch(&path, title).await;
        let after = world.get(&format!("/Users/{id}")).await.body;
        match answer.status.as_u16() {
            400 => assert_eq!(before, after),
            status => assert_eq!((status, &after["title"]), (200, &json!("T"))),
        }
        world.get(&path).await.expect(answer.status.as_u16());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_strict_connection_says_that_it_keeps_to_the_profile() {
    let (lenient, strict) = both().await;
    for (world, keeps) in [(lenient, false), (strict, true)] {
        let config = world.get("/ServiceProviderConfig").await.expect(200).body;
        assert_eq!(config["interopProfileConformant"], Value::Bool(keeps));
        let urn = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
        let schema = world.get(&format!("/Schemas/{urn}")).await.expect(200).body;
        let attributes = schema["attributes"].as_array().unwrap();
        let flag = attributes
            .iter()
            .find(|a| a["name"] == "interopProfileConformant");
        assert_eq!(flag.unwrap()["type"], "boolean");
        let document = world.get("/openapi.json").await.expect(200).body;
        let properties = &document["components"]["schemas"]["ServiceProviderConfig"]["properties"];
        assert_eq!(properties["interopProfileConformant"]["type"], "boolean");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_stand_in_an_address_is_told_beforehand() {
    let world = World::with("sensitive_filters = [\"emails\"]", &["--empty"]).await;
    let document = world.get("/openapi.json").await.expect(200).body;
    for (path, url) in [("/Users", "/Users"), ("/", "")] {
        let told = &document["paths"][path]["get"]["responses"];
        assert!(told.get("403").is_some(), "{path}");
        let refused = world
            .get(&format!("{url}?filter=emails%20pr"))
            .await
            .expect(403);
        assert_eq!(refused.body["scimType"], "sensitive");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remove_of_members_with_null_empties_no_group() {
    let (lenient, strict) = both().await;
    for world in [lenient, strict] {
        let user = world.user("stays").await;
        let group = world.group("kept", std::slice::from_ref(&user)).await;
        let path = format!("/Groups/{group}");
        let null = json!([{"op": "remove", "path": "members", "value": null}]);
        let refused = world.patch(&path, null).await.expect(400);
        assert_eq!(refused.body["scimType"], "invalidValue");
        assert!(world.members(&group).await.contains(&user));
        let all = json!([{"op": "remove", "path": "members"}]);
        world.patch(&path, all).await;
        assert!(world.members(&group).await.is_empty());
    }
}
