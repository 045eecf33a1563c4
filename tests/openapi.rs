//! The `OpenAPI` document against the server that serves it.

use reqwest::StatusCode;

use crate::support::World;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

#[tokio::test]
async fn the_document_is_shown_to_who_has_a_token_alone() {
    let world = World::start().await;
    let url = format!("{}/openapi.json", world.base);
    let stranger = world.client.get(&url).send().await.unwrap();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    let document = world.get("/openapi.json").await.expect(200).body;
    assert_eq!(document["servers"][0]["url"], world.base);
}

#[tokio::test]
async fn every_operation_is_there_and_every_other_method_is_405() {
    let world = World::start().await;
    let document = world.get("/openapi.json").await.expect(200).body;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10);
    for (path, item) in paths {
        for method in METHODS {
            let told = item.get(method.to_ascii_lowercase()).is_some();
            let url = path.replace("{id}", "no-such-id");
            let reply = world.send(method, &url, None).await;
            let refused = reply.status == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(told, !refused, "{method} {path}: {}", reply.status);
            let astray = reply.body["detail"].as_str().unwrap_or_default();
            assert!(!astray.contains("no such endpoint"), "{method} {path}");
        }
    }
}
