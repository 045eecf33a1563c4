//! The schema at the front door: what strict connections refuse, what lenient
//! ones leave out and count, and that what is served is what holds.

use serde_json::{Value, json};

use super::support::{World, group, user};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const DROPPED: &str = "drawbridge-dropped-attributes";

async fn strict() -> World {
    World::with("strict = true", &["--empty"]).await
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_connection_refuses_what_a_lenient_one_takes() {
    let (lenient, strict) = (World::start().await, strict().await);
    let without_schemas = {
        let mut body = user("bare");
        body.as_object_mut().unwrap().remove("schemas");
        body
    };
    let cases = [
        (without_schemas, "invalidSyntax"),
        (with(user("a"), "schemas", json!([])), "invalidSyntax"),
        (
            with(user("b"), "schemas", json!([ENTERPRISE])),
            "invalidSyntax",
        ),
        (
            with(
                user("c"),
                "schemas",
                json!([USER, "urn:example:none:1.0:User"]),
            ),
            "invalidSyntax",
        ),
        (
            with(user("d"), "schemas", json!([USER, USER])),
            "invalidSyntax",
        ),
        (with(user("e"), "noSuch", json!("x")), "invalidSyntax"),
        (with(user("f"), "noSuch", json!(null)), "invalidSyntax"),
        (
            with(user("g"), "urn:example:none:1.0:User", json!({"a": 1})),
            "invalidSyntax",
        ),
        (
            with(user("h"), ENTERPRISE, json!({"department": "D"})),
            "invalidSyntax",
        ),
        (with(user("i"), "department", json!("D")), "invalidSyntax"),
        (
            with(user("j"), "name.middleName", json!("M")),
            "invalidSyntax",
        ),
        (
            with(user("k"), USER, json!({"title": "T"})),
            "invalidSyntax",
        ),
        (
            with(user("l"), "USERNAME", json!("l@example.com")),
            "invalidSyntax",
        ),
        (with(user("m"), "active", json!("True")), "invalidValue"),
        (
            with(user("n"), "emails", json!({"value": "n@example.com"})),
            "invalidValue",
        ),
        (
            with(
                user("o"),
                "emails",
                json!([{"value": "o@example.com", "type": "office"}]),
            ),
            "invalidValue",
        ),
        (
            with(user("p"), "name", json!({"givenName": "G", "nick": "N"})),
            "invalidSyntax",
        ),
        (with(user("q"), "title", json!({})), "invalidValue"),
    ];
    for (body, kind) in cases {
        lenient.post("/Users", body.clone()).await.expect(201);
        let refused = strict.post("/Users", body.clone()).await.expect(400);
        assert_eq!(refused.body["scimType"], kind, "{body}: {}", refused.body);
        let put = strict.post("/Users", user("before")).await;
        let path = if put.status.as_u16() == 201 {
            format!("/Users/{}", put.id())
        } else {
            let found = strict
                .get("/Users?filter=userName%20eq%20%22before@example.com%22")
                .await;
            format!(
                "/Users/{}",
                found.body["Resources"][0]["id"].as_str().unwrap()
            )
        };
        strict.put(&path, body).await.expect(400);
    }
    let found = strict.get("/Users").await.expect(200);
    assert_eq!(found.body["totalResults"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_connection_takes_what_the_rfc_writes() {
    let world = strict().await;
    let whole = json!({
        "schemas": [USER, ENTERPRISE], "userName": "bjensen@example.com", "externalId": "701984",
        "name": {"formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara",
            "middleName": "Jane", "honorificPrefix": "Ms.", "honorificSuffix": "III"},
        "displayName": "Babs Jensen", "nickName": "Babs", "profileUrl": "https://login.example.com/bjensen",
        "emails": [{"value": "bjensen@example.com", "type": "work", "primary": true},
            {"value": "babs@jensen.org", "type": "home"}],
        "addresses": [{"type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood",
            "region": "CA", "postalCode": "91608", "country": "USA", "primary": true}],
        "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
        "ims": [{"value": "someaimhandle", "type": "aim"}],
        "photos": [{"value": "https://photos.example.com/profilephoto/72930000000Ccne/F", "type": "photo"}],
        "userType": "Employee", "title": "Tour Guide", "preferredLanguage": "en-US", "locale": "en-US",
        "timezone": "America/Los_Angeles", "active": true,
        "x509Certificates": [{"value": "MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UE"}],
        ENTERPRISE: {"employeeNumber": "701984", "costCenter": "4130", "organization": "Universal Studios",
            "division": "Theme Park", "department": "Tour Operations", "manager": {"value": "26118915"}},
        "id": "ignored", "meta": {"created": "2010-01-23T04:56:22Z"}, "groups": [{"value": "x"}],
    });
    let made = world.post("/Users", whole.clone()).await.expect(201);
    assert!(!made.headers.contains_key(DROPPED));
    let shown = world
        .get(&format!("/Users/{}", made.id()))
        .await
        .expect(200)
        .body;
    for (name, value) in whole.as_object().unwrap() {
        if !["id", "meta", "groups"].contains(&name.as_str()) {
            assert_eq!(shown[name], *value, "{name}");
        }
    }
    let path = format!("/Users/{}", made.id());
    let tag = |reply: &super::support::Reply| reply.headers["etag"].clone();
    let before = tag(&world.get(&path).await);
    let again = json!([{"op": "add", "path": "emails", "value": [{"value": "babs@jensen.org", "type": "home"}]}]);
    world.patch(&path, again).await.expect(200);
    assert_eq!(tag(&world.get(&path).await), before);
    let change =
        json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}]);
    let changed = world.patch(&path, change).await.expect(200);
    assert_eq!(changed.body["emails"][0]["primary"], false);
    assert_ne!(tag(&changed), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_patch_is_told_what_is_wrong_and_changes_nothing() {
    let world = strict().await;
    let id = world.user("pat").await;
    let path = format!("/Users/{id}");
    let before = world.get(&path).await.body;
    for (operation, kind) in [
        (
            json!({"op": "replace", "value": {"title": "T"}}),
            "invalidPath",
        ),
        (
            json!({"op": "Replace", "path": "title", "value": "T"}),
            "invalidSyntax",
        ),
        (
            json!({"op": "replace", "path": "noSuch", "value": "T"}),
            "invalidPath",
        ),
        (
            json!({"op": "replace", "path": "active", "value": "False"}),
            "invalidValue",
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x"}),
            "noTarget",
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"work\"].type", "value": "x"}),
            "invalidValue",
        ),
        (json!({"op": "remove", "path": "userName"}), "mutability"),
        (
            json!({"op": "replace", "path": "id", "value": id}),
            "mutability",
        ),
        (
            json!({"op": "add", "path": "name", "value": {"nick": "x"}}),
            "invalidSyntax",
        ),
        (
            json!({"op": "remove", "path": "emails[type xx \"work\"]"}),
            "invalidFilter",
        ),
    ] {
        let good = json!({"op": "replace", "path": "nickName", "value": "N"});
        let refused = world
            .patch(&path, json!([good, operation]))
            .await
            .expect(400);
        assert_eq!(
            refused.body["scimType"], kind,
            "{operation}: {}",
            refused.body
        );
        assert_eq!(world.get(&path).await.body, before, "{operation}");
    }
    let bare = json!({"Operations": [{"op": "replace", "path": "title", "value": "T"}]});
    let refused = world.send("PATCH", &path, Some(bare)).await.expect(400);
    assert_eq!(refused.body["scimType"], "invalidSyntax");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lenient_connection_leaves_out_is_counted_in_the_answer() {
    let world = World::start().await;
    let body = with(user("lena"), "noSuch", json!("x"));
    let body = with(body, "urn:example:none:1.0:User", json!({"a": 1, "b": 2}));
    let made = world.post("/Users", body.clone()).await.expect(201);
    assert_eq!(made.headers[DROPPED], "2");
    let path = format!("/Users/{}", made.id());
    let shown = world.get(&path).await;
    assert!(!shown.headers.contains_key(DROPPED));
    assert_eq!(shown.body.get("noSuch"), None);
    let put = world.put(&path, body).await.expect(200);
    assert_eq!(put.headers[DROPPED], "2");
    let value =
        json!({"title": "T", "noSuch": 1, "emails": [{"value": "lena@example.com", "label": "x"}]});
    let patched = world
        .patch(&path, json!([{"op": "add", "value": value}]))
        .await
        .expect(200);
    assert_eq!(patched.headers[DROPPED], "2");
    let known = world
        .patch(
            &path,
            json!([{"op": "replace", "path": "title", "value": "U"}]),
        )
        .await;
    assert!(!known.expect(200).headers.contains_key(DROPPED));
    let body = with(group("lenients", &[made.id()]), "colour", json!("red"));
    let made = world.post("/Groups", body).await.expect(201);
    assert_eq!(made.headers[DROPPED], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_leaves_no_trace() {
    for (world, is_strict) in [(World::start().await, false), (strict().await, true)] {
        let canary = "canary-7f3a9c-password";
        let body = with(user("pw"), "password", json!(canary));
        let set = json!([{"op": "replace", "path": "password", "value": canary}]);
        let made = if is_strict {
            let refused = world.post("/Users", body.clone()).await.expect(400);
            assert_eq!(refused.body["scimType"], "invalidSyntax");
            world.post("/Users", user("pw")).await.expect(201)
        } else {
            world.post("/Users", body.clone()).await.expect(201)
        };
        let path = format!("/Users/{}", made.id());
        let answer = if is_strict { 400 } else { 200 };
        let put = world.put(&path, body).await.expect(answer);
        let patched = world.patch(&path, set).await.expect(answer);
        if !is_strict {
            let told = [&made, &put, &patched].map(|reply| &reply.headers[DROPPED]);
            assert_eq!(told, ["1"; 3], "what is not kept is told");
        }
        let asked = world.get(&format!("{path}?attributes=password")).await;
        let asked = asked.expect(answer);
        let schemas = world.get("/Schemas").await;
        for reply in [
            &made,
            &put,
            &patched,
            &asked,
            &world.get(&path).await,
            &world.get("/Users").await,
        ] {
            assert!(!reply.body.to_string().contains(canary));
            assert_eq!(reply.body.get("password"), None);
        }
        let filter = world.get("/Users?filter=password%20sw%20%22c%22").await;
        assert_eq!(filter.status.as_u16(), 403);
        assert!(!schemas.body.to_string().contains("\"name\":\"password\""));
        let state = world.state().await.to_string();
        assert!(!state.contains(canary));
        assert!(!world.files_contain(canary));
    }
}

/// A document judged by the schema that is served for it.
fn judge(definitions: &Value, document: &Value, at: &str, found: &mut Vec<String>) {
    let object = document.as_object().unwrap();
    let list = definitions.as_array().unwrap();
    for definition in list {
        let name = definition["name"].as_str().unwrap();
        let value = object.get(name);
        if definition["required"] == true && value.is_none() {
            found.push(format!("{at}{name} is required and not there"));
        }
        let Some(value) = value else { continue };
        let values = match (definition["multiValued"] == true, value) {
            (true, Value::Array(list)) => list.as_slice(),
            (false, value) if !value.is_array() => std::slice::from_ref(value),
            _ => {
                found.push(format!("{at}{name}: multiValued is not as served"));
                continue;
            }
        };
        for value in values {
            let fits = match definition["type"].as_str().unwrap() {
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64(),
                "decimal" => value.is_number(),
                "complex" => value.is_object(),
                _ => value.is_string(),
            };
            if !fits {
                found.push(format!(
                    "{at}{name}: {value} is not of the type that is served"
                ));
            }
            if let (Some(canonical), Some(text)) =
                (definition["canonicalValues"].as_array(), value.as_str())
                && !canonical
                    .iter()
                    .any(|c| c.as_str().is_some_and(|c| c.eq_ignore_ascii_case(text)))
            {
                found.push(format!("{at}{name}: {text} is no canonical value"));
            }
            if definition["type"] == "complex" && value.is_object() {
                let inside = format!("{at}{name}.");
                judge(&definition["subAttributes"], value, &inside, found);
            }
        }
    }
    let known = |key: &String| {
        let common = at.is_empty()
            && (["schemas", "id", "meta"].contains(&key.as_str()) || key.contains(':'));
        // RFC 7643 section 8.7.2 defines Schema to this depth, and is itself
        // one deeper.
        let itself = at == "attributes.subAttributes." && key == "subAttributes";
        common || itself || list.iter().any(|d| d["name"] == key.as_str())
    };
    found.extend(
        object
            .keys()
            .filter(|key| !known(key))
            .map(|key| format!("{at}{key} is not defined")),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_that_is_served_is_as_its_schema_says() {
    let world = World::start().await;
    let member = world.user("doc").await;
    let group = world
        .group("documents", std::slice::from_ref(&member))
        .await;
    let schemas = world.get("/Schemas").await.expect(200).body;
    let of = |urn: &str| {
        let mut list = schemas["Resources"].as_array().unwrap().iter();
        let found = list.find(|schema| schema["id"] == urn);
        found.unwrap_or_else(|| panic!("no schema {urn}"))["attributes"].clone()
    };
    let core = "urn:ietf:params:scim:schemas:core:2.0";
    let mut documents = vec![
        (
            USER.to_owned(),
            world
                .get(&format!("/Users/{member}"))
                .await
                .expect(200)
                .body,
        ),
        (
            GROUP.to_owned(),
            world
                .get(&format!("/Groups/{group}"))
                .await
                .expect(200)
                .body,
        ),
        (
            format!("{core}:ServiceProviderConfig"),
            world.get("/ServiceProviderConfig").await.expect(200).body,
        ),
    ];
    for (path, urn) in [("/Schemas", "Schema"), ("/ResourceTypes", "ResourceType")] {
        let listed = world.get(path).await.expect(200).body;
        for document in listed["Resources"].as_array().unwrap() {
            documents.push((format!("{core}:{urn}"), document.clone()));
        }
    }
    assert!(documents.len() >= 12);
    let mut found = Vec::new();
    for (urn, document) in &documents {
        let mut here = Vec::new();
        judge(&of(urn), document, "", &mut here);
        let named = document["id"]
            .as_str()
            .or(document["name"].as_str())
            .unwrap_or(urn);
        found.extend(
            here.into_iter()
                .map(|text| format!("{urn} {named}: {text}")),
        );
        for (key, value) in document.as_object().unwrap() {
            if key.starts_with("urn:") {
                let mut here = Vec::new();
                judge(&of(key), value, &format!("{key}:"), &mut here);
                found.extend(here);
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_as_unique_is_unique() {
    let world = World::start().await;
    let first = world
        .post("/Users", with(user("one"), "externalId", json!("e")))
        .await
        .expect(201);
    let second = world.post("/Users", user("two")).await.expect(201);
    let path = format!("/Users/{}", second.id());
    for (attribute, value) in [("userName", "ONE@example.com"), ("externalId", "e")] {
        let set = json!([{"op": "replace", "path": attribute, "value": value}]);
        let taken = world.patch(&path, set).await.expect(409);
        assert_eq!(taken.body["scimType"], "uniqueness", "{attribute}");
        let taken = world
            .post("/Users", with(user("three"), attribute, json!(value)))
            .await
            .expect(409);
        assert_eq!(taken.body["scimType"], "uniqueness", "{attribute}");
    }
    // externalId is case exact.
    let other = world
        .post("/Users", with(user("four"), "externalId", json!("E")))
        .await
        .expect(201);
    assert_ne!(other.id(), first.id());
    let group = |name: &str, key: &str| with(group(name, &[]), "externalId", json!(key));
    world
        .post("/Groups", group("unique", "g"))
        .await
        .expect(201);
    for body in [group("UNIQUE", "h"), group("another", "g")] {
        let taken = world.post("/Groups", body).await.expect(409);
        assert_eq!(taken.body["scimType"], "uniqueness");
    }
}
