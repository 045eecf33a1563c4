//! Two executions, one meaning: what the store finds for a filter, what the
//! filter says of each resource in memory, and what a naive evaluator here
//! makes of the same question over the JSON that is served.
//!
//! The question is made as a tree and written down as a client would; neither
//! parser nor evaluator of the program has a part in the naive answer.
//!
//! `DRAWBRIDGE_FILTER_PAIRS=1000000 cargo test --release --lib agreement`
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::*;
use crate::{
    scim::{
        filter::{Filter, Narrow, Subject},
        groups::DirectGroup,
        json::Limits,
        render,
        schema::Schemas,
    },
    store::{Among, Millis, Select, Start},
};

mod naive;
mod question;

use question::{Dice, Question};

/// (filter, resource) pairs when nobody asks for more.
const PAIRS: usize = 20_000;
const APP: &str = "urn:example:app:1.0:User";

fn schemas() -> Schemas {
    let extension = json!({"id": APP, "name": "App", "attributes": [
        {"name": "seats", "type": "integer"},
        {"name": "ratio", "type": "decimal"},
        {"name": "since", "type": "dateTime"},
        {"name": "tags", "type": "string", "multiValued": true},
        {"name": "key", "type": "binary", "caseExact": true},
        {"name": "homepage", "type": "reference", "caseExact": true},
        {"name": "trial", "type": "boolean"},
    ]});
    Schemas::new(&[extension], &[])
}

/// A stored resource as the test knows it: what is served, and the elements
/// of `members` or `groups`.
struct Known {
    id: ResourceId,
    of: ResourceType,
    served: Map<String, Value>,
    links: Vec<Value>,
}

impl Subject for Known {
    fn attributes(&self) -> &Map<String, Value> {
        &self.served
    }
    fn is_linked(&self, id: &str) -> bool {
        self.links.iter().any(|link| {
            let value = link["value"].as_str();
            value.is_some_and(|value| value.eq_ignore_ascii_case(id))
        })
    }
    fn any_link(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> bool {
        self.links.iter().any(will_do)
    }
}

impl Known {
    /// The resource whole, for the naive evaluator.
    fn whole(&self) -> Value {
        let mut whole = self.served.clone();
        let name = match self.of {
            ResourceType::User => "groups",
            ResourceType::Group => "members",
        };
        if !self.links.is_empty() {
            whole.insert(name.into(), self.links.clone().into());
        }
        whole.into()
    }
}

/// A store with so many resources, and all that is in it.
async fn world(dice: &mut Dice, count: usize) -> (Scene, Vec<Known>) {
    let scene = Scene::new().await;
    let groups = count / 5;
    let mut known = Vec::new();
    for n in 0..count - groups {
        let attributes = dice.user(n);
        let row = UserRow {
            attributes: Attributes(attributes.clone()),
            account_key: None,
            account: Account::default(),
        };
        let id = fresh_id();
        let at = dice.moment();
        let actor = Actor {
            name: "t".into(),
            at,
            watch: Watch::Off,
            put: false,
        };
        let made = scene.store.create_user(scene.c, id, row, actor);
        let meta = made.await.unwrap().resource.meta;
        known.push(served(ResourceType::User, id, meta.created, &attributes));
    }
    for n in 0..groups {
        let attributes = dice.group(n);
        let members: Vec<usize> = dice.some(known.len().min(count - groups), 12);
        let ids = members.iter().map(|at| known[*at].id.to_string()).collect();
        let row = GroupRow {
            attributes: Attributes(attributes.clone()),
            upstream_name: format!("g{n}"),
        };
        let (id, at) = (fresh_id(), dice.moment());
        let actor = Actor {
            name: "t".into(),
            at,
            watch: Watch::Off,
            put: false,
        };
        let made = scene
            .store
            .create_group(scene.c, id, row, ids, false, actor);
        let meta = made.await.unwrap().resource.meta;
        let mut group = served(ResourceType::Group, id, meta.created, &attributes);
        let name = attributes["displayName"].as_str().unwrap().to_owned();
        for at in members {
            let member = json!({"value": known[at].id.to_string(), "type": "User"});
            group.links.push(member);
            let of = DirectGroup {
                id,
                display: name.clone(),
            };
            known[at].links.push(of.to_json(None));
        }
        known.push(group);
    }
    (scene, known)
}

fn served(of: ResourceType, id: ResourceId, at: Millis, attributes: &Map<String, Value>) -> Known {
    let text = Value::Object(attributes.clone()).to_string();
    Known {
        id,
        of,
        served: render::document(of, id, at, at, 1, &text, None),
        links: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_memory_and_a_naive_reading_agree_on_every_filter() {
    let pairs = std::env::var("DRAWBRIDGE_FILTER_PAIRS");
    let pairs: usize = pairs.map_or(PAIRS, |text| text.parse().unwrap());
    let count = pairs.isqrt().clamp(50, 1_000);
    let mut dice = Dice::new(20_261_126);
    let (scene, known) = world(&mut dice, count).await;
    let whole: Vec<Value> = known.iter().map(Known::whole).collect();
    let schemas = schemas();
    let (mut judged, mut matched, mut narrowed, mut some) = (0, 0, 0, 0);
    while judged < pairs {
        let of = dice.either(ResourceType::User, ResourceType::Group, 4);
        let question = Question::random(&mut dice, of, &whole);
        let text = question.written(&mut dice);
        let limits = Limits {
            filter: 1 << 20,
            ..Limits::default()
        };
        let filter = Filter::parse(&text, of, &schemas, &limits);
        let filter = filter.unwrap_or_else(|problem| panic!("{text}: {problem}"));
        let listed: BTreeSet<ResourceId> = scene.found(of, &filter).await;
        let mut here = 0;
        for (known, whole) in known.iter().zip(&whole).filter(|(known, _)| known.of == of) {
            let naive = naive::holds(&question, whole);
            assert_eq!(
                filter.matches(known),
                naive,
                "{text}\nin memory, of {whole}"
            );
            assert_eq!(
                listed.contains(&known.id),
                naive,
                "{text}\nin the store, of {whole}"
            );
            judged += 1;
            here += usize::from(naive);
        }
        assert_eq!(listed.len(), here, "{text}: found what was never made");
        matched += here;
        some += usize::from(here > 0);
        narrowed += usize::from(filter.narrow().is_some_and(|n| n != Narrow::Nothing));
    }
    // A test of which every answer is "no" shows nothing.
    assert!(
        matched * 20 > judged && matched * 20 < judged * 19,
        "{matched} of {judged}"
    );
    assert!(
        narrowed > 5 && some > 20,
        "{narrowed} by index, {some} found some"
    );
}

impl Scene {
    /// The ids of all that the store finds.
    async fn found(&self, of: ResourceType, filter: &Filter) -> BTreeSet<ResourceId> {
        let select = Select {
            beside: Vec::new(),
            among: vec![Among {
                of,
                filter: Some(filter.clone()),
                sort: None,
            }],
            descending: false,
            start: Start::Offset(0),
            limit: u64::MAX,
            groups: 0,
        };
        let listing = self.store.list(self.c, select).await.unwrap();
        let stored = lists::stored(&listing).into_iter();
        let ids: BTreeSet<ResourceId> = stored.map(|(_, r)| r.id).collect();
        assert_eq!(ids.len() as u64, listing.total);
        ids
    }
}
