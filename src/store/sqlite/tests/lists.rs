//! Lists: pages, filters, what an index answers.
use super::*;
use crate::{
    scim::{filter::Filter, json::Limits, schema::Schemas},
    store::{Listing, Select},
};

impl Scene {
    async fn list(&self, of: ResourceType, filter: &str, offset: u64, limit: u64) -> Listing {
        let schemas = Schemas::new(&[], &[]);
        let parse = |text| Filter::parse(text, of, &schemas, &Limits::default()).unwrap();
        let select = Select {
            filter: (!filter.is_empty()).then(|| parse(filter)),
            offset,
            limit,
        };
        self.store.list(self.c, of, select).await.unwrap()
    }

    async fn names(&self, of: ResourceType, filter: &str) -> Vec<String> {
        let listing = self.list(of, filter, 0, 100).await;
        assert_eq!(listing.total, listing.resources.len() as u64);
        names(&listing)
    }
}

fn names(listing: &Listing) -> Vec<String> {
    let name = |text: &str| {
        let attributes: Attributes = serde_json::from_str(text).unwrap();
        let name = attributes
            .text("userName")
            .or(attributes.text("displayName"));
        name.unwrap().to_owned()
    };
    listing
        .resources
        .iter()
        .map(|r| name(&r.attributes))
        .collect()
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
        assert_eq!((none.total, none.resources.len()), (4, 0));
        let beyond = scene.list(ResourceType::User, filter, 9, 2).await;
        assert_eq!((beyond.total, beyond.resources.len()), (4, 0));
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
