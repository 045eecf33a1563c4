//! Lists: order, pages by index and by cursor, one list over all types, and
//! what costly lists may do to everybody else (RFC 7644 section 3.4.2, RFC 9865).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Reply, World, address, user};

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

/// Follows a cursor's links in one direction; by POST every other time.
async fn walk(world: &World, of: &str, query: &Value, link: &str, from: Value) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), from);
    for round in 0..1_000 {
        let mut query = query.clone();
        query["cursor"] = cursor;
        let reply = if round % 2 == 0 {
            world.listed_both_ways(of, query).await
        } else {
            world.post(&format!("{of}/.search"), query).await
        };
        let reply = reply.expect(200);
        assert!(reply.body.get("startIndex").is_none());
        let page = ids(&reply);
        assert_eq!(reply.body["itemsPerPage"], page.len());
        if link == "nextCursor" {
            seen.extend(page);
        } else {
            seen.splice(0..0, page);
        }
        match reply.body.get(link) {
            None => return seen,
            Some(next) => cursor = next.clone(),
        }
    }
    panic!("no end");
}

#[tokio::test]
async fn cursors_lead_through_every_list_and_back() {
    let world = World::start().await;
    for n in 0..7 {
        world.user(&format!("u{}", n * 5 % 7)).await;
    }
    for name in ["g1", "g0"] {
        world.group(name, &[]).await;
    }
    let config = world.get("/ServiceProviderConfig").await.expect(200).body;
    assert_eq!(
        config["pagination"],
        json!({"cursor": true, "index": true, "defaultPaginationMethod": "index",
            "defaultPageSize": 100, "maxPageSize": 1000, "cursorTimeout": 3600})
    );
    for (of, stored, rows) in [
        ("/Users", 7, 0),
        ("/Groups", 2, 0),
        ("/Roles", 0, 5),
        ("/Entitlements", 0, 0),
        ("", 9, 5),
    ] {
        for mut query in [
            json!({"sortBy": "value", "sortOrder": "descending"}),
            json!({}),
            json!({"filter": "meta.created pr"}),
            json!({"sortBy": "userName"}),
            json!({"sortBy": "displayName", "sortOrder": "descending"}),
            json!({"filter": "id pr", "sortBy": "id", "attributes": "id"}),
        ] {
            // What is not stored was never created.
            let total = match query["filter"] == "meta.created pr" {
                true => stored,
                false => stored + rows,
            };
            let whole = ids(&world.listed_both_ways(of, query.clone()).await.expect(200));
            assert_eq!(whole.len(), total);
            for count in [1, 3, 7, 9, 100] {
                query["count"] = json!(count);
                let next = walk(&world, of, &query, "nextCursor", json!("")).await;
                assert_eq!(next, whole, "{of} {query}");
            }
            // From the last page back to the first.
            query["count"] = json!(2);
            query["cursor"] = json!("");
            let mut page = world.listed_both_ways(of, query.clone()).await;
            assert!(page.body.get("previousCursor").is_none());
            while let Some(next) = page.body.get("nextCursor").cloned() {
                let text = next.as_str().expect("a text");
                let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
                assert!(text.chars().all(plain) && text.len() == 328, "{text}");
                query["cursor"] = next;
                page = world.listed_both_ways(of, query.clone()).await;
                assert_eq!(page.body["totalResults"], total);
            }
            let mut before = Vec::new();
            if let Some(previous) = page.body.get("previousCursor").cloned() {
                before = walk(&world, of, &query, "previousCursor", previous).await;
            }
            before.extend(ids(&page));
            assert_eq!(before, whole, "{of} {query}");
        }
    }
    assert_eq!(
        world.get("/Users?cursor&count=3").await.expect(200).body["itemsPerPage"],
        3
    );
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_query_only() {
    let mut world = World::start().await;
    for n in 0..4 {
        world.user(&format!("u{n}")).await;
    }
    let asked = "/Users?count=2&sortBy=userName&filter=userName+pr";
    let first = world.get(&format!("{asked}&cursor=")).await.expect(200);
    let cursor = first.body["nextCursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    let nobody = world.get("/Users?cursor&count=-1").await.expect(200);
    assert_eq!(nobody.body["Resources"].as_array().map(Vec::len), Some(0));
    let another = asked.replace("count=2", "count=3");
    let another = world.get(&format!("{another}&cursor={cursor}")).await;
    refused(another, 400, "invalidCount");
    let next = world
        .get(&format!("{asked}&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(names(&next), ["u2", "u3"]);
    for other in [
        "/Users?count=2&sortBy=userName&filter=id+pr",
        "/Users?count=2&sortBy=id&filter=userName+pr",
        "/Users?count=2&sortBy=userName&sortOrder=descending&filter=userName+pr",
        "/Users?count=2&sortBy=userName&filter=userName+pr&attributes=id",
        "/Groups?count=2&sortBy=userName&filter=userName+pr",
        "/?count=2&sortBy=userName&filter=userName+pr",
    ] {
        refused(
            world.get(&format!("{other}&cursor={cursor}")).await,
            400,
            "invalidCursor",
        );
    }
    let unknown = world.get(&format!("{asked}&cursor=nonsense")).await;
    for place in [0, 20, 100, cursor.len() - 1] {
        let mut letters = cursor.clone().into_bytes();
        letters[place] = if letters[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(letters).expect("letters");
        let reply = world
            .get(&format!("{asked}&cursor={forged}"))
            .await
            .expect(400);
        assert_eq!(reply.body, unknown.body, "one answer for all");
    }
    refused(unknown, 400, "invalidCursor");
    refused(
        world
            .get(&format!("{asked}&cursor={cursor}&startIndex=1"))
            .await,
        400,
        "invalidValue",
    );
    for count in ["two"] {
        refused(
            world.get(&format!("/Users?cursor&count={count}")).await,
            400,
            "invalidCount",
        );
    }
    refused(
        world
            .post("/Users/.search", json!({"cursor": "", "count": "2"}))
            .await,
        400,
        "invalidCount",
    );
    let totals = world.get("/Users?cursor&count=0").await.expect(200);
    assert!(totals.body["totalResults"].as_u64() > Some(0));
    assert_eq!(totals.body.get("nextCursor"), None);
    assert_eq!(totals.body["Resources"], json!([]));
    world.kill_and_restart();
    let later = world
        .get(&format!("{asked}&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(names(&later), ["u2", "u3"], "also after a restart");
}

/// Whoever is there from the first page to the last is shown exactly once,
/// whatever happens to the others meanwhile.
#[tokio::test]
async fn cursors_neither_skip_nor_repeat_while_others_come_and_go() {
    let world = World::start().await;
    let names: Vec<String> = (0..24).map(|n| format!("m{:02}", n * 7 % 24)).collect();
    let mut all = Vec::new();
    for name in &names {
        all.push(world.user(name).await);
    }
    for (round, query) in [
        json!({"count": 3}),
        json!({"count": 3, "sortBy": "userName"}),
        json!({"count": 4, "sortBy": "userName", "sortOrder": "descending"}),
        json!({"count": 3, "sortBy": "meta.created", "filter": "active eq true"}),
    ]
    .into_iter()
    .enumerate()
    {
        let before: BTreeSet<String> = ids(&world.get("/Users").await.expect(200))
            .into_iter()
            .collect();
        let mut gone = BTreeSet::new();
        let mut seen = Vec::new();
        let mut cursor = json!("");
        for page in 0.. {
            let mut query = query.clone();
            query["cursor"] = cursor;
            let reply = world.post("/Users/.search", query).await.expect(200);
            seen.extend(ids(&reply));
            // Newcomers in front, behind and between; the last one shown goes,
            // and so does somebody who was not shown yet.
            if page < 4 {
                for front in ["a", "m07x", "z"] {
                    world.user(&format!("{front}{round}{page}")).await;
                }
                let unseen = before
                    .iter()
                    .find(|id| !seen.contains(id) && !gone.contains(*id));
                let leaving = [seen.last().cloned(), unseen.cloned()];
                for id in leaving.into_iter().flatten() {
                    world
                        .send("DELETE", &format!("/Users/{id}"), None)
                        .await
                        .expect(204);
                    gone.insert(id);
                }
            }
            match reply.body.get("nextCursor") {
                Some(next) => cursor = next.clone(),
                None => break,
            }
            assert!(page < 100);
        }
        let shown: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(shown.len(), seen.len(), "nobody twice");
        let stayed: BTreeSet<String> = before.difference(&gone).cloned().collect();
        assert!(stayed.is_subset(&shown), "nobody left out: {query}");
    }
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
