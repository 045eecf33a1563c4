//! Versions, dates and errors as a client sees them: entity tags on every
//! method (RFC 7644 section 3.14), `meta.lastModified` that is true, and the
//! shape of every refusal (section 3.12).

use serde_json::{Value, json};

use crate::support::{World, address, group, user};

async fn conditional(
    world: &World,
    method: &str,
    path: &str,
    (name, tag): (&str, &str),
    body: Option<Value>,
) -> (u16, String) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = world
        .client
        .request(method, format!("{}{path}", world.base));
    let request = request.bearer_auth(&world.token).header(name, tag);
    let request = request.header("content-type", "application/scim+json");
    let request = match body {
        Some(body) => request.body(body.to_string()),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn title(value: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "externalId", "value": value}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_hold_on_every_method_of_both_types() {
    let world = World::start().await;
    let team = world.group("Team", &[]).await;
    for (path, put) in [
        (format!("/Users/{}", world.user("u").await), user("u")),
        (format!("/Groups/{team}"), group("Team", &[])),
    ] {
        let tag = world.get(&path).await.headers["etag"]
            .to_str()
            .unwrap()
            .to_owned();
        let strong = tag.trim_start_matches("W/").to_owned();
        for (method, body) in [
            ("PUT", Some(put)),
            ("PATCH", Some(title("x"))),
            ("DELETE", None),
        ] {
            for (name, wrong) in [
                ("If-Match", "W/\"99\""),
                ("If-Match", "\"no\""),
                ("If-None-Match", "*"),
                ("If-None-Match", tag.as_str()),
            ] {
                let (status, text) =
                    conditional(&world, method, &path, (name, wrong), body.clone()).await;
                assert_eq!(status, 412, "{method} {path} {name}: {wrong} {text}");
            }
        }
        assert_eq!(
            world.get(&path).await.headers["etag"],
            tag.as_str(),
            "nothing was done"
        );
        for (name, mine, expected) in [
            ("If-None-Match", tag.as_str(), 304),
            ("If-None-Match", strong.as_str(), 304),
            ("If-None-Match", "*", 304),
            ("If-None-Match", "W/\"99\"", 200),
            ("If-Match", strong.as_str(), 200),
            ("If-Match", "*", 200),
            ("If-Match", "W/\"99\"", 412),
        ] {
            for method in ["GET", "HEAD"] {
                let (status, text) = conditional(&world, method, &path, (name, mine), None).await;
                assert_eq!(status, expected, "{method} {path} {name}: {mine}");
                assert_eq!(text.is_empty(), method == "HEAD" || status == 304);
            }
        }
        let (status, _) = conditional(
            &world,
            "PATCH",
            &path,
            ("If-Match", &strong),
            Some(title("y")),
        )
        .await;
        assert!(status == 200 || status == 204, "{status}");
        let (status, _) = conditional(&world, "DELETE", &path, ("If-Match", "*"), None).await;
        assert_eq!(status, 204);
        let (status, _) = conditional(&world, "DELETE", &path, ("If-Match", "*"), None).await;
        assert_eq!(status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn last_modified_and_version_move_with_a_real_change_and_with_nothing_else() {
    let world = World::start().await;
    let member = world.user("member").await;
    let people = format!("/Users/{}", world.user("u").await);
    let team = format!(
        "/Groups/{}",
        world.group("Team", std::slice::from_ref(&member)).await
    );
    for (path, same, other) in [
        (
            &people,
            user("u"),
            json!([{"op": "replace", "path": "title", "value": "T"}]),
        ),
        (
            &team,
            group("Team", std::slice::from_ref(&member)),
            json!([{"op": "replace", "path": "externalId", "value": "T"}]),
        ),
    ] {
        let before = world.get(path).await.body["meta"].clone();
        assert_eq!(before["created"], before["lastModified"]);
        world.put(path, same).await.expect(200);
        let name = if path == &people {
            "userName"
        } else {
            "displayName"
        };
        let value = world.get(path).await.body[name].clone();
        let equal = json!([{"op": "replace", "path": name, "value": value}]);
        let status = world.patch(path, equal).await.status.as_u16();
        assert!(status == 200 || status == 204);
        let absent = json!([{"op": "remove", "path": "externalId"}]);
        world.patch(path, absent).await;
        assert_eq!(world.get(path).await.body["meta"], before, "{path}");
        let status = world.patch(path, other).await.status.as_u16();
        assert!(status == 200 || status == 204);
        let after = world.get(path).await.body["meta"].clone();
        assert_ne!(after["version"], before["version"]);
        assert!(after["lastModified"].as_str() > before["lastModified"].as_str());
        assert_eq!(after["created"], before["created"]);
    }
    let before = world.get(&team).await.body["meta"].clone();
    let add = json!([{"op": "add", "path": "members", "value": [{"value": member}]}]);
    world.patch(&team, add).await.expect(204);
    assert_eq!(
        world.get(&team).await.body["meta"],
        before,
        "who is in is no news"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_the_shape_that_the_rfc_wants() {
    let world = World::start().await;
    world.user("taken").await;
    let path = format!("/Users/{}", world.user("u").await);
    let patch = |operations: Value| {
        Some(
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}),
        )
    };
    let many = vec![json!({"op": "remove", "path": "title"}); 1_001];
    let taken = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": address("taken")});
    for (method, path, body, status, kind) in [
        (
            "GET",
            "/Users?filter=userName%20is%20x",
            None,
            400,
            Some("invalidFilter"),
        ),
        ("GET", "/Users?count=x", None, 400, Some("invalidValue")),
        (
            "PATCH",
            path.as_str(),
            patch(json!(many)),
            400,
            Some("tooMany"),
        ),
        ("POST", "/Users", Some(taken), 409, Some("uniqueness")),
        (
            "PATCH",
            &path,
            patch(json!([{"op": "replace", "path": "id", "value": "x"}])),
            400,
            Some("mutability"),
        ),
        (
            "POST",
            "/Users",
            Some(json!("text")),
            400,
            Some("invalidSyntax"),
        ),
        (
            "PATCH",
            &path,
            patch(json!([{"op": "move", "path": "title"}])),
            400,
            Some("invalidSyntax"),
        ),
        (
            "PATCH",
            &path,
            patch(json!([{"op": "replace", "path": "a..b", "value": 1}])),
            400,
            Some("invalidPath"),
        ),
        (
            "PATCH",
            &path,
            patch(json!([{"op": "remove"}])),
            400,
            Some("noTarget"),
        ),
        (
            "POST",
            "/Users",
            Some(json!({"userName": ""})),
            400,
            Some("invalidValue"),
        ),
        ("GET", "/Users/nobody", None, 404, None),
        ("GET", "/Nothing", None, 404, None),
        ("GET", "/Schemas?filter=id%20pr", None, 403, None),
        ("POST", &path, None, 405, None),
        ("GET", "/Me", None, 501, None),
    ] {
        let refused = world.send(method, path, body).await.expect(status);
        let error = refused.body.as_object().unwrap();
        assert_eq!(
            error["schemas"],
            json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
        );
        assert_eq!(error["status"], status.to_string(), "{method} {path}");
        assert!(error["detail"].as_str().is_some_and(|d| d.len() > 10));
        assert_eq!(
            error.get("scimType").and_then(Value::as_str),
            kind,
            "{method} {path} {error:?}"
        );
        let known = ["schemas", "status", "detail", "scimType"];
        assert!(
            error.keys().all(|key| known.contains(&key.as_str())),
            "{error:?}"
        );
    }
    for (name, tag, status, kind) in [
        ("If-Match", "nonsense", 400, Some("invalidVers")),
        ("If-Match", "W/\"9\"", 412, None),
    ] {
        let (code, text) = conditional(&world, "PUT", &path, (name, tag), Some(user("u"))).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, error["scimType"].as_str()), (status, kind), "{text}");
    }
}
