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

/// GET and POST .search tell the same of a query.
#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_searched_by_a_body_too() {
    let world = World::start().await;
    for (query, body, expected) in [
        (
            "",
            json!({}),
            "Administrators PowerUsers Users Auditors SecurityManagers",
        ),
        (
            "filter=value+ew+%22Users%22&sortBy=display",
            json!({"filter": "value ew \"Users\"", "sortBy": "display"}),
            "PowerUsers Users",
        ),
        (
            "sortBy=value&sortOrder=descending&startIndex=2&count=2",
            json!({"sortBy": "value", "sortOrder": "descending", "startIndex": 2, "count": 2}),
            "SecurityManagers PowerUsers",
        ),
        ("count=0", json!({"count": 0}), ""),
        (
            "startIndex=5&excludedAttributes=display,description",
            json!({"startIndex": 5, "excludedAttributes": ["display", "description"]}),
            "SecurityManagers",
        ),
    ] {
        let got = world.get(&format!("/Roles?{query}")).await.expect(200);
        let found = world.post("/Roles/.search", body).await.expect(200);
        assert_eq!(got.body, found.body, "{query}");
        assert_eq!(values(&got.body).join(" "), expected, "{query}");
    }
    let none = world.post("/Entitlements/.search", json!({})).await;
    assert_eq!(none.expect(200).body["totalResults"], 0);
    let allow = world.get("/Roles/.search").await.expect(405).headers;
    assert_eq!(allow["allow"], "POST, OPTIONS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_into_the_table_is_good_for_its_own_query_only() {
    let world = World::start().await;
    let asked = "/Roles?count=2&sortBy=value";
    let first = world.get(&format!("{asked}&cursor=")).await.expect(200);
    assert_eq!(values(&first.body), ["Administrators", "Auditors"]);
    let cursor = first.body["nextCursor"].as_str().unwrap().to_owned();
    let next = world.get(&format!("{asked}&cursor={cursor}")).await;
    assert_eq!(
        values(&next.expect(200).body),
        ["PowerUsers", "SecurityManagers"]
    );
    let body = json!({"count": 2, "sortBy": "value", "cursor": cursor});
    let posted = world.post("/Roles/.search", body).await.expect(200);
    let back = posted.body["previousCursor"].as_str().unwrap();
    let back = world.get(&format!("{asked}&cursor={back}")).await;
    assert_eq!(values(&back.expect(200).body), values(&first.body));
    let forged = format!("{}{}", &cursor[1..], &cursor[..1]);
    for other in [
        format!("/Roles?count=2&sortBy=display&cursor={cursor}"),
        format!("/Entitlements?count=2&sortBy=value&cursor={cursor}"),
        format!("/?count=2&sortBy=value&cursor={cursor}"),
        format!("{asked}&cursor={forged}"),
        format!("{asked}&cursor=x"),
    ] {
        let refused = world.get(&other).await.expect(400);
        assert_eq!(refused.body["scimType"], "invalidCursor", "{other}");
    }
    let another = format!("/Roles?count=3&sortBy=value&cursor={cursor}");
    let another = world.get(&another).await.expect(400);
    assert_eq!(another.body["scimType"], "invalidCount");
    for (other, kind) in [
        ("cursor&startIndex=1", "invalidValue"),
        ("cursor&count=two", "invalidCount"),
        ("count=two", "invalidValue"),
    ] {
        let refused = world.get(&format!("/Roles?{other}")).await.expect(400);
        assert_eq!(refused.body["scimType"], kind, "{other}");
    }
    let totals = world.get("/Roles?cursor&count=0").await.expect(200).body;
    assert_eq!(
        (&totals["totalResults"], totals.get("nextCursor")),
        (&json!(5), None)
    );
}

/// A root list goes from what is stored over into the table, page by page and
/// back, while others come and go.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_list_goes_over_into_the_table_and_back() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let group = world.group("Middle", &[]).await;
    let page = |cursor: String| {
        let path = format!("/?count=3&attributes=id&cursor={cursor}");
        let world = &world;
        async move { world.get(&path).await.expect(200).body }
    };
    let first = page(String::new()).await;
    let ids = |page: &Value| -> Vec<String> {
        let list = page["Resources"].as_array().unwrap().iter();
        list.map(|found| found["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&first), [&*ann, &*group, "Administrators"]);
    let next = |page: &Value, link: &str| page[link].as_str().unwrap().to_owned();
    let zoe = world.user("zoe").await;
    let second = page(next(&first, "nextCursor")).await;
    assert_eq!(ids(&second), ["PowerUsers", "Users", "Auditors"]);
    assert_eq!(second["totalResults"], 8);
    let gone = format!("/Groups/{group}");
    world.send("DELETE", &gone, None).await.expect(204);
    let back = page(next(&second, "previousCursor")).await;
    assert_eq!(ids(&back), [&*ann, &*zoe, "Administrators"]);
    let last = page(next(&second, "nextCursor")).await;
    assert_eq!(ids(&last), ["SecurityManagers"]);
    assert_eq!(last.get("nextCursor"), None);
    let role = world.get("/?startIndex=3&count=1").await.expect(200).body;
    let alone = world.get("/Roles/Administrators").await.expect(200).body;
    assert_eq!(role["Resources"][0], alone);
}

/// The list tells a version, as its entries do.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_known_is_not_told_again() {
    let world = World::start().await;
    let list = world.get("/Roles").await.expect(200);
    let tag = list.headers["etag"].to_str().unwrap();
    let url = format!("{}/Roles", world.base);
    let again = world.client.get(&url).bearer_auth(&world.token);
    let again = again.header("If-None-Match", tag).send().await.unwrap();
    assert_eq!(again.status().as_u16(), 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_table_is_asked_for_what_it_has() {
    let world = World::with("strict = true", &["--empty"]).await;
    for (query, kind) in [
        ("filter=userName+pr", "invalidFilter"),
        ("sortBy=userName", "invalidPath"),
        ("attributes=userName", "invalidValue"),
        ("excludedAttributes=userName", "invalidValue"),
        ("count=1&count=2", "invalidValue"),
    ] {
        let refused = world.get(&format!("/Roles?{query}")).await.expect(400);
        assert_eq!(refused.body["scimType"], kind, "{query}");
    }
    let asked = "/Roles?filter=supported+eq+true&sortBy=display&attributes=value&cursor&count=5";
    let found = world.get(asked).await.expect(200).body;
    assert_eq!(values(&found).len(), 5);
    // At the root an attribute of one type is no mistake.
    let shown = world.get("/?attributes=supported").await.expect(200).body;
    assert_eq!(shown["Resources"][0]["supported"], true);
}
