//! What is discovered: the addresses, their tags, and the public address that is told.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn discovery_is_complete_and_found_at_its_own_locations() {
    let bridge = one().await;
    let config = bridge
        .get("/acme/scim/v2/ServiceProviderConfig")
        .await
        .json();
    for (feature, more) in [
        ("patch", vec![]),
        ("bulk", vec!["maxOperations", "maxPayloadSize"]),
        ("filter", vec!["maxResults"]),
        ("changePassword", vec![]),
        ("sort", vec![]),
        ("etag", vec![]),
    ] {
        assert!(config[feature]["supported"].is_boolean(), "{feature}");
        for sub in more {
            assert!(config[feature][sub].is_u64(), "{feature}.{sub}");
        }
    }
    for sub in ["type", "name", "description", "specUri", "documentationUri"] {
        assert!(config["authenticationSchemes"][0][sub].is_string(), "{sub}");
    }
    let origin = format!("http://{}", bridge.address);
    for collection in ["Schemas", "ResourceTypes"] {
        let list = bridge
            .get(&format!("/acme/scim/v2/{collection}"))
            .await
            .json();
        let resources = list["Resources"].as_array().unwrap();
        assert_eq!(list["totalResults"].as_u64(), Some(resources.len() as u64));
        assert!(resources.len() >= 2, "{collection}");
        for resource in resources {
            let location = resource["meta"]["location"].as_str().unwrap();
            let path = location.strip_prefix(&origin).unwrap();
            assert!(path.starts_with("/acme/scim/v2/"), "{path}");
            assert_eq!(&bridge.get(path).await.json(), resource);
        }
        bridge
            .get(&format!("/scim/v2/{collection}/nothing"))
            .await
            .refused(404);
        bridge
            .get(&format!("/scim/v2/{collection}?filter=id%20pr"))
            .await
            .refused(403);
    }
    let encoded = "/scim/v2/Schemas/urn%3Aietf%3Aparams%3Ascim%3Aschemas%3Acore%3A2.0%3AUser";
    assert_eq!(bridge.get(encoded).await.json()["id"], USER);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_address_is_told_and_forwarding_headers_are_not_believed() {
    let settings = Settings {
        public_url: Some("https://scim.example.com/in/".into()),
        ..Settings::default()
    };
    let bridge = unreachable(&["acme"], settings).await;
    let config = bridge.get("/scim/v2/ServiceProviderConfig").await.json();
    assert_eq!(
        config["meta"]["location"],
        "https://scim.example.com/in/scim/v2/ServiceProviderConfig"
    );
    let bridge = one().await;
    let forged = [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "Forwarded: host=evil.example",
    ];
    let config = bridge
        .ask("GET", "/scim/v2/ServiceProviderConfig", &forged, "")
        .await;
    assert!(!config.text().contains("evil"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discovered_has_a_tag_that_changes_with_it() {
    let bridge = one().await;
    for path in [
        "/scim/v2/ServiceProviderConfig",
        "/scim/v2/ResourceTypes",
        "/scim/v2/ResourceTypes/User",
        "/scim/v2/Schemas",
        "/scim/v2/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
    ] {
        let first = bridge.get(path).await;
        let tag = first.header("etag").unwrap().to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let known = format!("If-None-Match: {tag}");
        let again = bridge.ask("GET", path, &[&known], "").await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(tag.as_str()));
        let other = bridge.ask("GET", path, &["If-None-Match: \"1\""], "").await;
        assert_eq!((other.status, &other.body), (200, &first.body));
        let insists = bridge.ask("GET", path, &["If-Match: \"1\""], "").await;
        insists.refused(412);
        let head = bridge.ask("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        for name in ["etag", "content-type", "content-length"] {
            assert_eq!(head.header(name), first.header(name), "{path} {name}");
        }
    }
}
