//! Cursors: through every list and back, for their own query only, while others
//! write (RFC 9865).

use std::collections::BTreeSet;

use super::*;

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
            let total = if query["filter"] == "meta.created pr" {
                stored
            } else {
                stored + rows
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
