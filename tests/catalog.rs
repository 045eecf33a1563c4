//! `/Roles` and `/Entitlements`: one table in the draft's form and in Okta's.

use serde_json::{Value, json};

use crate::support::World;

const DRAFT: &str = "urn:ietf:params:scim:schemas:core:2.0:Role";
const OKTA: &str = "urn:okta:scim:schemas:core:1.0:Role";

fn values(list: &Value) -> Vec<&str> {
    let resources = list["Resources"].as_array().unwrap().iter();
    resources
        .map(|role| role["value"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_discovered_and_read_in_both_forms() {
    let world = World::start().await;
    let config = world.get("/ServiceProviderConfig").await.body;
    let told = &config["RolesAndEntitlements"];
    assert_eq!(told["roles"]["supported"], true);
    assert_eq!(told["entitlements"]["supported"], false);
    let types = world.get("/ResourceTypes").await.body;
    let types = types["Resources"].as_array().unwrap();
    for (name, urn) in [("Role", DRAFT), ("OktaRole", OKTA)] {
        let found = types.iter().find(|of| of["schema"] == urn).unwrap();
        assert_eq!(
            (&found["id"], &found["endpoint"]),
            (&json!(name), &json!("/Roles"))
        );
        let schema = world.get(&format!("/Schemas/{urn}")).await.expect(200).body;
        assert_eq!(schema["id"], urn);
    }
    let role = world.get("/Roles/Auditors").await.expect(200).body;
    assert_eq!(role["schemas"], json!([DRAFT, OKTA]));
    for name in ["id", "value", "display", "displayName"] {
        assert_eq!(role[name], "Auditors", "{name}");
    }
    let location = role["meta"]["location"].as_str().unwrap();
    assert_eq!(location, format!("{}/Roles/Auditors", world.base));
    world.get("/Roles/nobody").await.expect(404);
    world
        .send("DELETE", "/Roles/Auditors", None)
        .await
        .expect(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_filtered_paged_and_cut_like_other_lists() {
    let world = World::start().await;
    let all = world.get("/Roles").await.expect(200).body;
    assert_eq!(
        (&all["totalResults"], &all["itemsPerPage"]),
        (&json!(5), &json!(5))
    );
    let page = world.get("/Roles?count=1&startIndex=2").await.body;
    assert_eq!(
        (&page["totalResults"], &page["itemsPerPage"]),
        (&json!(5), &json!(1))
    );
    assert_eq!(values(&page), [values(&all)[1]]);
    let found = world
        .get("/Roles?filter=displayName%20sw%20%22Power%22")
        .await
        .body;
    assert_eq!(values(&found), ["PowerUsers"]);
    world
        .get("/Roles?filter=displayName%20is")
        .await
        .expect(400);
    let cut = world.get("/Roles?attributes=value&count=1").await.body;
    let role = cut["Resources"][0].as_object().unwrap();
    assert!(
        role.contains_key("value") && !role.contains_key("display"),
        "{cut}"
    );
    // A role that is told can be assigned.
    for role in values(&all) {
        let mut user = crate::support::user(role);
        user["roles"] = json!([{"value": role}]);
        world.post("/Users", user).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_is_an_empty_list_that_nobody_is_led_to() {
    let world = World::start().await;
    let none = world.get("/Entitlements").await.expect(200).body;
    assert_eq!(
        (&none["totalResults"], &none["itemsPerPage"]),
        (&json!(0), &json!(0))
    );
    world.get("/Entitlements/any").await.expect(404);
    for list in ["/ResourceTypes", "/Schemas"] {
        let told = world.get(list).await.body.to_string();
        assert!(!told.contains(":Entitlement"), "{list}");
    }
}
