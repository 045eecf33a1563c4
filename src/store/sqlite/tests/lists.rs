//! Lists: pages, filters, what an index answers.
use futures_util::FutureExt;

use super::*;
use crate::store::sqlite::{
    fault, file, list,
    readers::{self, Halt},
};
use crate::{
    scim::{
        error::ScimType,
        filter::Filter,
        json::Limits,
        query::{ListQuery, SortKey},
        schema::Schemas,
    },
    store::{Among, Item, Listing, Mark, Resource, Select, Start},
};

/// A list of one type in order of creation.
pub(super) fn plain(of: ResourceType, filter: &str, start: Start, limit: u64) -> Select {
    sorted(&[of], filter, "", start, limit)
}

/// A list of some types; `sort` is a query string's `sortBy` and `sortOrder`.
pub(super) fn sorted(
    types: &[ResourceType],
    filter: &str,
    sort: &str,
    start: Start,
    limit: u64,
) -> Select {
    let schemas = Schemas::new(&[], &[]);
    let among = |of: &ResourceType| {
        let query = ListQuery::parse(sort, *of, &schemas, &Limits::default()).unwrap();
        let filter = (!filter.is_empty())
            .then(|| Filter::parse(filter, *of, &schemas, &Limits::default()).unwrap());
        let (of, sort) = (*of, query.sort);
        Among { of, filter, sort }
    };
    Select {
        among: types.iter().map(among).collect(),
        beside: Vec::new(),
        descending: sort.contains("sortOrder=descending"),
        start,
        limit,
        groups: 0,
    }
}

impl Scene {
    async fn list(&self, of: ResourceType, filter: &str, offset: u64, limit: u64) -> Listing {
        let select = plain(of, filter, Start::Offset(offset), limit);
        self.store.list(self.c, select).await.unwrap()
    }

    async fn names(&self, of: ResourceType, filter: &str) -> Vec<String> {
        let listing = self.list(of, filter, 0, 100).await;
        assert_eq!(listing.total, listing.items.len() as u64);
        names(&listing)
    }
}

pub(super) fn names(listing: &Listing) -> Vec<String> {
    let name = |text: &str| {
        let attributes: Attributes = serde_json::from_str(text).unwrap();
        let name = attributes
            .text("userName")
            .or(attributes.text("displayName"));
        name.unwrap().to_owned()
    };
    let stored = stored(listing).into_iter();
    stored.map(|(_, r)| name(&r.attributes)).collect()
}

/// The page of a list that holds nothing but resources.
pub(super) fn stored(listing: &Listing) -> Vec<(ResourceType, &Resource)> {
    let stored = listing.items.iter().map(|item| match item {
        Item::Resource(of, resource) => (*of, resource),
        Item::Row(..) => panic!("a row that nobody gave"),
    });
    stored.collect()
}

#[tokio::test]
async fn the_beginning_of_a_user_name_is_found_at_every_edge_of_the_alphabet() {
    let scene = Scene::new().await;
    let all = [
        "a",
        "aa",
        "a\u{10ffff}",
        "a\u{10ffff}b",
        "\u{d7ff}x",
        "\u{e000}",
        "b",
        "\u{10ffff}z",
        "İx",
    ];
    for name in all {
        scene.user(name).await;
    }
    for (prefix, found) in [
        ("A", vec!["a", "aa", "a\u{10ffff}", "a\u{10ffff}b"]),
        ("a\u{10ffff}", vec!["a\u{10ffff}", "a\u{10ffff}b"]),
        ("\u{d7ff}", vec!["\u{d7ff}x"]),
        ("\u{10ffff}", vec!["\u{10ffff}z"]),
        ("i\u{307}X", vec!["İx"]),
        ("c", vec![]),
        ("", all.to_vec()),
    ] {
        let filter = format!("userName sw \"{prefix}\"");
        assert_eq!(
            scene.names(ResourceType::User, &filter).await,
            found,
            "{prefix}"
        );
    }
}

#[tokio::test]
async fn alternatives_are_found_each_by_its_index() {
    let scene = Scene::new().await;
    let (a, b) = (scene.user("a").await, scene.user("b").await);
    scene.user("c").await;
    let group = scene.group("G", &[a.resource.id]).await;
    let (id, of) = (b.resource.id, ResourceType::User);
    for (filter, found) in [
        (
            "userName eq \"A\" or emails.value eq \"B@example.com\"".to_owned(),
            vec!["a", "b"],
        ),
        (
            format!("id eq \"{id}\" or externalId eq \"x\" or id eq \"nobody\""),
            vec!["b"],
        ),
        (
            format!(
                "groups.value eq \"{}\" or userName eq \"c\"",
                group.resource.id
            ),
            vec!["a", "c"],
        ),
        (
            format!("(userName eq \"a\" or id eq \"{id}\") and userName sw \"B\""),
            vec!["b"],
        ),
        (
            format!(
                "groups[value eq \"{}\" and display eq \"g\"]",
                group.resource.id
            ),
            vec!["a"],
        ),
        (
            "groups[display eq \"g\"] or userName sw \"zz\"".to_owned(),
            vec!["a"],
        ),
        ("not (groups pr)".to_owned(), vec!["b", "c"]),
        ("id eq \"nobody\" or nope pr".to_owned(), vec![]),
    ] {
        assert_eq!(scene.names(of, &filter).await, found, "{filter}");
    }
}

#[tokio::test]
async fn pages_are_in_order_of_creation_and_tell_the_whole_total() {
    let scene = Scene::new().await;
    for name in ["d", "a", "c", "b"] {
        scene.user(name).await;
    }
    let all = scene.list(ResourceType::User, "", 0, 100).await;
    assert_eq!(
        (all.total, names(&all)),
        (4, ["d", "a", "c", "b"].map(String::from).to_vec())
    );
    for filter in ["", "userName pr"] {
        let page = scene.list(ResourceType::User, filter, 1, 2).await;
        assert_eq!(
            (page.total, names(&page)),
            (4, vec!["a".into(), "c".into()])
        );
        let none = scene.list(ResourceType::User, filter, 0, 0).await;
        assert_eq!((none.total, none.items.len()), (4, 0));
        let beyond = scene.list(ResourceType::User, filter, 9, 2).await;
        assert_eq!((beyond.total, beyond.items.len()), (4, 0));
    }
}

#[tokio::test]
async fn equality_is_answered_by_index_and_judged_by_the_whole_filter() {
    let scene = Scene::new().await;
    let ann = scene.user("Ann").await;
    scene.user("Bob").await;
    let mut row = user_row("Cid");
    row.attributes.0.insert("externalId".into(), "X-1".into());
    row.attributes.0.insert("active".into(), false.into());
    let cid = scene.store.create_user(scene.c, fresh_id(), row, actor());
    let cid = cid.await.unwrap().resource.id;
    let users = |filter: String| {
        let scene = &scene;
        async move { scene.names(ResourceType::User, &filter).await }
    };
    assert_eq!(users("userName eq \"aNN\"".into()).await, ["Ann"]);
    assert_eq!(
        users(format!("id eq \"{}\"", ann.resource.id)).await,
        ["Ann"]
    );
    assert_eq!(users("id eq \"nonsense\"".into()).await, [""; 0]);
    assert_eq!(users("externalId eq \"X-1\"".into()).await, ["Cid"]);
    assert_eq!(
        users("externalId eq \"x-1\"".into()).await,
        [""; 0],
        "exact case"
    );
    assert_eq!(
        users("emails.value eq \"BOB@example.com\"".into()).await,
        ["Bob"]
    );
    assert_eq!(
        users("emails[value eq \"bob@example.com\"]".into()).await,
        ["Bob"]
    );
    assert_eq!(
        users("userName eq \"cid\" and active eq true".into()).await,
        [""; 0]
    );
    assert_eq!(
        users("userName eq \"cid\" and active eq false".into()).await,
        ["Cid"]
    );
    assert_eq!(
        users("userName eq \"ann\" or userName eq \"bob\"".into()).await,
        ["Ann", "Bob"]
    );
    assert_eq!(
        users("not (userName sw \"a\")".into()).await,
        ["Bob", "Cid"]
    );
    assert_eq!(
        users("meta.created gt \"1970-01-01T00:00:00Z\"".into())
            .await
            .len(),
        3
    );
    assert_eq!(
        users("meta.created gt \"1970-01-01T00:00:02Z\"".into())
            .await
            .len(),
        0
    );
    let gone = scene.store.delete_user(scene.c, cid, always(), actor());
    gone.await.unwrap();
    assert_eq!(users("externalId eq \"X-1\"".into()).await, [""; 0]);
    assert_eq!(
        users("emails.value eq \"cid@example.com\"".into()).await,
        [""; 0]
    );
}

#[tokio::test]
async fn a_changed_address_moves_in_the_index() {
    let scene = Scene::new().await;
    let ann = scene.user("ann").await;
    let decide = Box::new(|stored: &crate::store::StoredUser| {
        let mut row = stored.row.clone();
        row.attributes
            .0
            .insert("emails".into(), json!([{ "value": "new@example.com" }]));
        Ok(Some(row))
    });
    let change = scene
        .store
        .change_user(scene.c, ann.resource.id, always(), decide, actor());
    change.await.unwrap();
    let by = |mail: &str| format!("emails.value eq \"{mail}@example.com\"");
    assert_eq!(scene.names(ResourceType::User, &by("new")).await, ["ann"]);
    assert_eq!(scene.names(ResourceType::User, &by("ann")).await, [""; 0]);
}

#[tokio::test]
async fn groups_are_found_by_name_and_by_member() {
    let scene = Scene::new().await;
    let ann = scene.user("ann").await.resource.id;
    let bob = scene.user("bob").await.resource.id;
    scene.group("Dev", &[ann, bob]).await;
    let ops = scene.group("Ops", &[bob]).await;
    scene.group("Empty", &[]).await;
    let groups = |filter: String| {
        let scene = &scene;
        async move { scene.names(ResourceType::Group, &filter).await }
    };
    assert_eq!(groups("displayName eq \"ops\"".into()).await, ["Ops"]);
    assert_eq!(groups(format!("members.value eq \"{ann}\"")).await, ["Dev"]);
    assert_eq!(
        groups(format!("members[value eq \"{bob}\"]")).await,
        ["Dev", "Ops"]
    );
    assert_eq!(groups(format!("members eq \"{}\"", id(9))).await, [""; 0]);
    assert_eq!(
        groups(format!("not (members.value eq \"{bob}\")")).await,
        ["Empty"]
    );
    assert_eq!(
        groups(format!(
            "displayName eq \"dev\" and members.value eq \"{ann}\""
        ))
        .await,
        ["Dev"]
    );
    let sub = &bob.to_string()[30..];
    assert_eq!(
        groups(format!("members.value ew \"{sub}\"")).await,
        ["Dev", "Ops"]
    );
    scene.change(&ops, remove(&[bob])).await.unwrap();
    assert_eq!(groups(format!("members.value eq \"{bob}\"")).await, ["Dev"]);
}

/// The names on a page, with groups in brackets.
fn shown(listing: &Listing) -> Vec<String> {
    let marked = |((of, _), name): ((ResourceType, _), String)| match of {
        ResourceType::User => name,
        ResourceType::Group => format!("[{name}]"),
    };
    let stored = stored(listing).into_iter();
    stored.zip(names(listing)).map(marked).collect()
}

const BOTH: [ResourceType; 2] = [ResourceType::User, ResourceType::Group];

/// Every way to ask for the same list.
const WAYS: [(&str, &str); 6] = [
    ("", ""),
    ("meta.created pr", ""),
    ("", "sortBy=displayName"),
    ("", "sortBy=displayName&sortOrder=descending"),
    ("meta.created pr", "sortBy=userName"),
    (
        "meta.created pr",
        "sortBy=meta.created&sortOrder=descending",
    ),
];

impl Scene {
    async fn page(&self, filter: &str, sort: &str, start: Start, limit: u64) -> Listing {
        let select = sorted(&BOTH, filter, sort, start, limit);
        self.store.list(self.c, select).await.unwrap()
    }
}

#[tokio::test]
async fn types_stand_in_one_order() {
    let scene = Scene::new().await;
    for name in ["c", "A"] {
        scene.user(name).await;
    }
    scene.group("b", &[]).await;
    let order = |sort: &'static str| {
        let scene = &scene;
        async move { shown(&scene.page("", sort, Start::Offset(0), 9).await) }
    };
    assert_eq!(order("").await, ["c", "A", "[b]"]);
    assert_eq!(order("sortBy=userName").await, ["A", "c", "[b]"]);
    assert_eq!(
        order("sortBy=userName&sortOrder=descending").await,
        ["[b]", "c", "A"]
    );
    assert_eq!(order("sortBy=displayName").await, ["[b]", "c", "A"]);
    assert_eq!(order("sortBy=meta.created").await, ["c", "A", "[b]"]);
    assert_eq!(
        order("sortBy=meta.resourceType").await,
        ["[b]", "c", "A"],
        "Group before User"
    );
}

/// Walks a list by its marks, forwards and back again.
#[tokio::test]
async fn marks_lead_through_the_whole_list_and_back() {
    let scene = Scene::new().await;
    for name in ["d", "B", "a", "c", "e"] {
        scene.user(name).await;
    }
    for name in ["z", "y"] {
        scene.group(name, &[]).await;
    }
    for (filter, sort) in WAYS {
        let whole = shown(&scene.page(filter, sort, Start::Offset(0), 100).await);
        assert_eq!(whole.len(), 7);
        for limit in 1..=8 {
            let mut pages = Vec::new();
            let mut start = Start::After(None);
            loop {
                let page = scene.page(filter, sort, start, limit).await;
                assert_eq!(page.total, 7);
                assert_eq!(page.earlier, !pages.is_empty());
                let last = page.ends.as_ref().map(|(_, last)| last.clone());
                let goes_on = page.later;
                pages.push(page);
                if !goes_on {
                    break;
                }
                start = Start::After(last);
            }
            let forwards: Vec<String> = pages.iter().flat_map(shown).collect();
            assert_eq!(forwards, whole, "{sort} by {limit}");

            let mut backwards: Vec<String> = Vec::new();
            let mut start = Start::Before(None);
            loop {
                let page = scene.page(filter, sort, start, limit).await;
                backwards.splice(0..0, shown(&page));
                assert_eq!(page.earlier, backwards.len() < 7);
                if !page.earlier {
                    break;
                }
                start = Start::Before(page.ends.map(|(first, _)| first));
            }
            assert_eq!(backwards, whole, "{sort} by {limit}");
        }
    }
}

#[tokio::test]
async fn one_type_without_filter_and_order_is_paged_as_any_other_list() {
    let scene = Scene::new().await;
    for n in 0..7 {
        scene.user(&format!("u{n}")).await;
    }
    let mark = |row| {
        let (key, of) = (SortKey::default(), ResourceType::User.into());
        Some(Mark { key, of, row })
    };
    let third = scene.list(ResourceType::User, "", 2, 1).await;
    let gone = stored(&third)[0].1.id;
    let delete = scene.store.delete_user(scene.c, gone, always(), actor());
    delete.await.unwrap();
    let mut starts = vec![Start::After(None), Start::Before(None)];
    starts.extend((0..9).map(Start::Offset));
    starts.extend((0..9).map(|row| Start::After(mark(row))));
    starts.extend((0..9).map(|row| Start::Before(mark(row))));
    for start in starts {
        for limit in 0..8 {
            let ask = |filter| {
                let select = plain(ResourceType::User, filter, start.clone(), limit);
                scene.store.list(scene.c, select)
            };
            let (by_database, by_window) = (ask("").await.unwrap(), ask("id pr").await.unwrap());
            if limit > 0 {
                assert_eq!(by_database, by_window, "{start:?} {limit}");
            }
            assert_eq!(by_database.total, 6);
        }
    }
}

#[tokio::test]
async fn what_costs_too_much_is_refused_and_the_rest_is_served() {
    let scene = Scene::new().await;
    for n in 0..10 {
        scene.user(&format!("u{n}")).await;
    }
    let path = scene.folder.path().join("d.db");
    let db = file::open_reader(&path).unwrap();
    let ask = |filter: &str, sort: &str, steps: u64, keys: usize| {
        let select = sorted(&[ResourceType::User], filter, sort, Start::Offset(0), 10);
        let bounds = list::Bounds { steps, keys };
        list::list(&db, scene.c.0, &select, bounds, &Halt::default()).map_err(WriteError::from)
    };
    let is_too_many = |answer: Result<Listing, WriteError>| match answer.unwrap_err() {
        WriteError::Problem(problem) => {
            assert_eq!(problem.scim_type, Some(ScimType::TooMany));
            assert_eq!(problem.status, 400);
        }
        other => panic!("{other}"),
    };
    let long = "title co \"x\" or title co \"y\" or not (title pr)";
    assert_eq!(ask(long, "", 40, 0).unwrap().total, 10);
    is_too_many(ask(long, "", 39, 0));
    assert_eq!(ask("", "sortBy=userName", 10, 10_000).unwrap().total, 10);
    is_too_many(ask("", "sortBy=userName", 10, 300));
    is_too_many(ask("", "sortBy=userName", 9, 10_000));
    assert_eq!(ask("userName eq \"u1\"", "", 2, 0).unwrap().total, 1);
}

#[tokio::test]
async fn a_scan_ends_when_nobody_waits_for_it_and_gives_its_place_back() {
    let scene = Scene::new().await;
    let path = scene.folder.path().join("d.db");
    let readers = Arc::new(readers::Readers::new(path));
    for _ in 0..10 {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let scan = readers.scan(1, move |_, halt| {
            begun.send(()).unwrap();
            while !halt.is_called() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            ended.send(()).unwrap();
            Ok(())
        });
        let mut scan = Box::pin(scan);
        tokio::select! {
            _ = &mut scan => panic!("it ends only when it is given up"),
            begun = has_begun => begun.unwrap(),
        }
        drop(scan);
        has_ended.await.unwrap();
    }
    assert!(readers.scan(1, |_, _| Ok(())).await.is_ok());
}

#[tokio::test]
async fn scans_wait_in_bounded_numbers_and_hold_up_nothing_else() {
    let scene = Scene::new().await;
    let path = scene.folder.path().join("d.db");
    let readers = Arc::new(readers::Readers::new(path));
    let stuck = |_: &rusqlite::Connection, halt: &Halt| {
        while !halt.is_called() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    };
    let mut waiting = Vec::new();
    let crowded = loop {
        let mut scan = Box::pin(readers.scan(1, stuck));
        match (&mut scan).now_or_never() {
            None => waiting.push(scan),
            Some(answer) => break answer,
        }
        assert!(waiting.len() < 1_000, "somewhere there is an end");
    };
    assert!(matches!(crowded, Err(fault::Fault::Crowded)));
    assert!(waiting.len() >= 50, "fifty are served");
    assert!(readers.read(|_| Ok(())).is_ok());
    assert!(readers.read_apart(|_| Ok(())).await.is_ok());
    // Another connection has a waiting room of its own, and the next seat.
    let mut other = Box::pin(readers.scan(2, |_, _| Ok(())));
    assert!((&mut other).now_or_never().is_none());
    drop(waiting.remove(0));
    assert!(other.await.is_ok());
    drop(waiting);
    loop {
        match readers.scan(1, |_, _| Ok(())).await {
            Ok(()) => break,
            Err(fault::Fault::Crowded) => tokio::task::yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    }
}
