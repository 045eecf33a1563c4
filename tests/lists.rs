//! Lists: order, pages by index and by cursor, one list over all types, and
//! what costly lists may do to everybody else (RFC 7644 section 3.4.2, RFC 9865).

use serde_json::{Value, json};

use crate::support::{Reply, World, address, user};

mod cursors;

/// What the application has to assign, in the order of its table.
const ROLES: &str = "Administrators PowerUsers Users Auditors SecurityManagers";

/// The userName or displayName of everything on a page.
fn names(reply: &Reply) -> Vec<String> {
    let list = reply.body["Resources"].as_array().cloned();
    let name = |resource: &Value| {
        let name = resource["userName"].as_str();
        name.or(resource["displayName"].as_str())
            .unwrap_or_default()
            .trim_end_matches("@example.com")
            .to_owned()
    };
    list.unwrap_or_default().iter().map(name).collect()
}

fn ids(reply: &Reply) -> Vec<String> {
    let list = reply.body["Resources"].as_array().cloned();
    let id = |resource: &Value| resource["id"].as_str().expect("an id").to_owned();
    list.unwrap_or_default().iter().map(id).collect()
}

fn refused(reply: Reply, status: u16, scim_type: &str) {
    let reply = reply.expect(status);
    assert_eq!(reply.body["scimType"], scim_type, "{reply:?}");
    assert!(reply.body["detail"].as_str().is_some_and(|d| d.len() > 20));
}

impl World {
    async fn listed(&self, path: &str) -> Vec<String> {
        names(&self.get(path).await.expect(200))
    }

    /// The same list by GET and by POST .search.
    async fn listed_both_ways(&self, of: &str, query: Value) -> Reply {
        let pairs = query.as_object().expect("an object").iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name}={}", text.replace(' ', "+")),
                other => format!("{name}={other}"),
            })
            .collect();
        let got = self.get(&format!("{of}?{}", pairs.join("&"))).await;
        let posted = self.post(&format!("{of}/.search"), query).await;
        assert_eq!(got.status, posted.status);
        assert_eq!(ids(&got), ids(&posted));
        assert_eq!(got.body["totalResults"], posted.body["totalResults"]);
        got
    }

    async fn sortable_people(&self) {
        let people = [
            ("dora", "B", 0, true, "z@x.example", "Sales"),
            ("Carl", "a", 1, false, "m@x.example", "art"),
            ("bea", "C", 2, true, "a@x.example", "Law"),
        ];
        for (name, family, n, active, second, department) in people {
            let mut body = user(name);
            body["name"]["familyName"] = json!(family);
            body["externalId"] = json!(if n == 1 { "x" } else { name });
            body["active"] = json!(active);
            body["emails"] = json!([
                {"value": address(name), "type": "work"},
                {"value": second, "type": "home", "primary": true},
            ]);
            body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
                json!({"department": department});
            self.post("/Users", body).await.expect(201);
        }
        let mut bare = user("Anna");
        bare["name"] = json!({"givenName": "Given"});
        self.post("/Users", bare).await.expect(201);
    }
}

#[tokio::test]
async fn a_list_is_sorted_by_any_path_in_both_directions() {
    let world = World::start().await;
    world.sortable_people().await;
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let core = "urn:ietf:params:scim:schemas:core:2.0:User";
    for (path, ascending, descending) in [
        ("userName", "Anna bea Carl dora", "dora Carl bea Anna"),
        ("USERNAME", "Anna bea Carl dora", "dora Carl bea Anna"),
        (
            "name.familyName",
            "Carl dora bea Anna",
            "Anna bea dora Carl",
        ),
        ("externalId", "bea dora Carl Anna", "Anna Carl dora bea"),
        ("active", "Carl dora bea Anna", "dora bea Anna Carl"),
        ("emails", "bea Anna Carl dora", "dora Carl Anna bea"),
        ("emails.value", "bea Anna Carl dora", "dora Carl Anna bea"),
        ("emails.type", "dora Carl bea Anna", "Anna dora Carl bea"),
        ("meta.created", "dora Carl bea Anna", "Anna bea Carl dora"),
        (
            "meta.lastModified",
            "dora Carl bea Anna",
            "Anna bea Carl dora",
        ),
        (
            &format!("{urn}:department"),
            "Carl bea dora Anna",
            "Anna dora bea Carl",
        ),
        ("department", "Carl bea dora Anna", "Anna dora bea Carl"),
        (
            &format!("{core}:name.familyName"),
            "Carl dora bea Anna",
            "Anna bea dora Carl",
        ),
        (
            "noSuchAttribute",
            "dora Carl bea Anna",
            "dora Carl bea Anna",
        ),
        ("title", "dora Carl bea Anna", "dora Carl bea Anna"),
        ("name", "dora Carl bea Anna", "dora Carl bea Anna"),
    ] {
        for (order, expected) in [("ascending", ascending), ("descending", descending)] {
            let query = json!({"sortBy": path, "sortOrder": order});
            let reply = world.listed_both_ways("/Users", query).await.expect(200);
            assert_eq!(names(&reply).join(" "), expected, "{path} {order}");
            let pages = [1, 3].map(|start| {
                format!("/Users?sortBy={path}&sortOrder={order}&startIndex={start}&count=2")
            });
            let mut paged = world.listed(&pages[0]).await;
            paged.extend(world.listed(&pages[1]).await);
            assert_eq!(paged.join(" "), expected, "{path} {order}");
        }
        let reply = world.get(&format!("/Users?sortBy={path}")).await;
        assert_eq!(names(&reply.expect(200)).join(" "), ascending);
    }
    let filtered = "/Users?filter=active+eq+true&sortBy=userName&sortOrder=Descending";
    assert_eq!(world.listed(filtered).await.join(" "), "dora bea Anna");
    refused(
        world.get("/Users?sortBy=emails[type+eq+%22work%22]").await,
        400,
        "invalidPath",
    );
    refused(
        world.get("/Users?sortBy=userName&sortOrder=up").await,
        400,
        "invalidValue",
    );
    let config = world.get("/ServiceProviderConfig").await.expect(200).body;
    assert_eq!(config["sort"], json!({"supported": true}));
}

#[tokio::test]
async fn strict_mode_refuses_what_cannot_be_sorted_by() {
    let world = World::with("strict = true", &["--empty"]).await;
    for path in ["noSuchAttribute", "name", "groups", "urn:x:y:User:userName"] {
        refused(
            world.get(&format!("/Users?sortBy={path}")).await,
            400,
            "invalidPath",
        );
    }
    world.get("/Users?sortBy=name.familyName").await.expect(200);
    // Groups have no userName; at the root that is no mistake.
    world.get("/?sortBy=userName").await.expect(200);
    world.get("/?sortBy=supported").await.expect(200);
    for path in ["/Users", "/Groups"] {
        let reply = world.get(&format!("{path}?sortBy=supported")).await;
        refused(reply, 400, "invalidPath");
    }
    refused(
        world.get("/?sortBy=noSuchAttribute").await,
        400,
        "invalidPath",
    );
}

#[tokio::test]
async fn an_index_page_tells_what_it_holds() {
    let world = World::start().await;
    for n in 0..5 {
        world.user(&format!("u{n}")).await;
    }
    for (query, start, names, items) in [
        ("", 1, "u0 u1 u2 u3 u4", 5),
        ("startIndex=0&count=2", 1, "u0 u1", 2),
        ("startIndex=-3&count=2", 1, "u0 u1", 2),
        ("startIndex=4&count=2", 4, "u3 u4", 2),
        ("startIndex=5&count=2", 5, "u4", 1),
        ("startIndex=6&count=2", 6, "", 0),
        ("count=0", 1, "", 0),
        ("count=-1", 1, "", 0),
        ("count=100000", 1, "u0 u1 u2 u3 u4", 5),
    ] {
        let reply = world.get(&format!("/Users?{query}")).await.expect(200);
        assert_eq!(reply.body["totalResults"], 5, "{query}");
        assert_eq!(reply.body["startIndex"], start, "{query}");
        assert_eq!(reply.body["itemsPerPage"], items, "{query}");
        assert_eq!(self::names(&reply).join(" "), names, "{query}");
        assert!(reply.body.get("nextCursor").is_none());
    }
}

#[tokio::test]
async fn all_types_are_one_list_at_the_root() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    world.user("zoe").await;
    world.group("Middle", std::slice::from_ref(&ann)).await;
    let all = format!("ann zoe Middle {ROLES}");
    for root in ["", "/"] {
        assert_eq!(world.listed(root).await.join(" "), all);
    }
    for (filter, expected) in [
        ("userName+pr", "ann zoe"),
        ("displayName+eq+%22middle%22", "Middle"),
        ("meta.resourceType+eq+%22User%22", "ann zoe"),
        ("meta.resourceType+eq+%22Group%22", "Middle"),
        (
            "userName+sw+%22z%22+or+displayName+sw+%22M%22",
            "zoe Middle",
        ),
        ("id+pr", &*all),
        ("meta.resourceType+eq+%22Role%22", ROLES),
        ("display+eq+%22Auditors%22", "Auditors"),
        (
            "supported+eq+true+and+not+(value+co+%22e%22)",
            "Administrators Auditors",
        ),
        ("meta.created+pr", "ann zoe Middle"),
        ("displayName+sw+%22A%22", "Administrators Auditors"),
        (
            "urn:ietf:params:scim:schemas:core:2.0:Role:value+ew+%22Users%22",
            "PowerUsers Users",
        ),
        ("userName+sw+%22a%22+or+value+eq+%22Users%22", "ann Users"),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User:userName+eq+%22ann@example.com%22",
            "ann",
        ),
        (
            "urn:ietf:params:scim:schemas:core:2.0:Group:displayName+pr",
            "Middle",
        ),
        (&format!("members.value+eq+%22{ann}%22"), "Middle"),
    ] {
        let reply = world.get(&format!("/?filter={filter}")).await.expect(200);
        assert_eq!(names(&reply).join(" "), expected, "{filter}");
        assert_eq!(reply.body["totalResults"], names(&reply).len());
    }
    // Who has no value comes last, descending first (RFC 7644 section 3.4.2.3).
    let dated = format!("{ROLES} Middle zoe ann");
    for (sort, expected) in [
        ("meta.lastModified", &dated),
        ("meta.created", &dated),
        ("userName", &format!("Middle {ROLES} zoe ann")),
        (
            "value",
            &format!(
                "ann zoe Middle {}",
                "Users SecurityManagers PowerUsers Auditors Administrators"
            ),
        ),
        (
            "displayName",
            &format!(
                "ann zoe {}",
                "Middle Users SecurityManagers PowerUsers Auditors Administrators"
            ),
        ),
    ] {
        let query = json!({"sortBy": sort, "sortOrder": "descending"});
        let reply = world.listed_both_ways("", query).await.expect(200);
        assert_eq!(&names(&reply).join(" "), expected, "{sort}");
    }
    let page = world.get("/?startIndex=2&count=2").await.expect(200);
    assert_eq!(names(&page), ["zoe", "Middle"]);
    assert_eq!(page.body["totalResults"], 8);
    let group = &page.body["Resources"][1];
    assert_eq!(group["members"][0]["value"], json!(ann));
    assert_eq!(page.body["Resources"][0]["meta"]["resourceType"], "User");
    let projected = world.get("/?attributes=displayName").await.expect(200);
    assert_eq!(projected.body["Resources"][2]["displayName"], "Middle");
    assert!(projected.body["Resources"][0].get("userName").is_none());
    let role = &projected.body["Resources"][3];
    let urns = [":Role", "urn:okta:scim:schemas:core:1.0:Role"];
    assert!(role["schemas"].to_string().contains(urns[0]), "{role}");
    assert_eq!(role["schemas"][1], urns[1]);
    assert_eq!(
        (&role["id"], &role["displayName"], role.get("value")),
        (&json!("Administrators"), &json!("Administrators"), None)
    );
    let totals = world.get("/?count=0&filter=value+pr").await.expect(200);
    assert_eq!(
        (&totals.body["totalResults"], &totals.body["Resources"]),
        (&json!(5), &json!([]))
    );
    world.send("DELETE", "", None).await.expect(405);
}

/// A name that one type does not know is no mistake at the root, even on a
/// strict connection; one that neither knows is.
#[tokio::test]
async fn a_strict_root_asks_each_type_for_what_it_has() {
    let world = World::with("strict = true", &["--empty"]).await;
    let ann = world.user("ann").await;
    world.user("zoe").await;
    world.group("Middle", std::slice::from_ref(&ann)).await;
    let message = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
    let core = "urn:ietf:params:scim:schemas:core:2.0";
    for (filter, expected) in [
        ("userName eq \"ann@example.com\"", "ann"),
        ("userName ne \"ann@example.com\"", "zoe"),
        ("not (userName sw \"a\")", &*format!("zoe Middle {ROLES}")),
        (
            "meta.resourceType eq \"Role\" and value sw \"A\"",
            "Administrators Auditors",
        ),
        (&format!("{core}:Role:supported eq true"), ROLES),
        ("meta.resourceType eq \"User\"", "ann zoe"),
        ("meta.resourceType eq \"Group\"", "Middle"),
        ("meta.resourceType eq \"User\" and userName sw \"z\"", "zoe"),
        ("displayName eq \"middle\"", "Middle"),
        (&format!("{core}:User:userName sw \"a\""), "ann"),
        (&format!("{core}:Group:displayName pr"), "Middle"),
        (&format!("members[value eq \"{ann}\"]"), "Middle"),
    ] {
        let query = json!({"schemas": [message], "filter": filter});
        let reply = world.post("/.search", query).await.expect(200);
        assert_eq!(names(&reply).join(" "), expected, "{filter}");
        let filter = filter.replace(' ', "+").replace('"', "%22");
        let got = world.get(&format!("/?filter={filter}")).await.expect(200);
        assert_eq!(ids(&got), ids(&reply), "{filter}");
    }
    for filter in ["noSuch pr", "userName eq true", "userName eq"] {
        let query = json!({"schemas": [message], "filter": filter});
        refused(world.post("/.search", query).await, 400, "invalidFilter");
    }
    let groups = json!({"schemas": [message], "filter": "userName pr"});
    refused(
        world.post("/Groups/.search", groups).await,
        400,
        "invalidFilter",
    );
}

/// More costly lists than may wait, at once: whoever is told to come again is
/// told so, and everybody else goes on.
#[tokio::test(flavor = "multi_thread")]
async fn writes_and_point_reads_go_on_while_costly_lists_wait() {
    let world = World::start().await;
    let ids = world.users("u", 160).await;
    let group = world.group("G", &[]).await;
    let comparisons = ["displayName co \"q\""; 150].join(" or ");
    let search = json!({"filter": format!("({comparisons}) or name.givenName eq \"Given\""),
        "sortBy": "name.familyName", "count": 1});
    let costly = (0..100).map(|_| world.post("/Users/.search", search.clone()));
    let lists = futures_util::future::join_all(costly);
    let others = async {
        for (n, id) in ids.iter().take(12).enumerate() {
            world.get(&format!("/Users/{id}")).await.expect(200);
            let by_name = format!("/Users?filter=userName+eq+%22u{n}@example.com%22");
            assert_eq!(
                world.get(&by_name).await.expect(200).body["totalResults"],
                1
            );
            let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
            let added = world.patch(&format!("/Groups/{group}"), add).await;
            assert!(added.status.is_success(), "{added:?}");
            world.get(&format!("/Groups/{group}")).await.expect(200);
        }
    };
    let (lists, ()) = tokio::join!(lists, others);
    assert_eq!(world.members(&group).await.len(), 12);
    let mut answered = 0;
    for list in lists {
        if list.status == 503 {
            assert!(list.headers.contains_key("retry-after"), "{list:?}");
            continue;
        }
        assert_eq!(list.expect(200).body["totalResults"], 160);
        answered += 1;
    }
    assert!(answered >= 2);
}
