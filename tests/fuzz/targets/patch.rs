//! PATCH bodies: what was understood leaves a resource that is valid, in its
//! kept form, and with everything that is not the client's to write unchanged.

use serde_json::Value;

use super::{
    refused,
    scim::{
        json::Limits,
        patch,
        resource::{Attributes, ResourceType, group_from_json, replaced, user_from_json},
    },
    world::{self, EXTENSION, LIMITS, SCHEMAS},
};

pub fn run(input: &[u8]) {
    for of in [ResourceType::User, ResourceType::Group] {
        for limits in &*LIMITS {
            match patch::parse(input, of, &SCHEMAS, limits) {
                Ok(patch) => {
                    let read = serde_json::from_slice::<Value>(input);
                    assert!(read.is_ok(), "understood what is no JSON");
                    applied(&patch.taken, of, limits);
                }
                Err(problem) => refused(&problem),
            }
        }
    }
}

fn applied(patch: &patch::Patch, of: ResourceType, limits: &Limits) {
    for before in world::resources(of) {
        let mut after = before.clone();
        match patch.apply(&mut after, &world::id(), of, &SCHEMAS) {
            Ok(changed) => {
                assert_eq!(changed, after != *before, "{patch:?}");
                for name in ["given", "once"] {
                    let kept = |resource: &Attributes| {
                        resource.0.get(EXTENSION).and_then(|e| e.get(name)).cloned()
                    };
                    let value = kept(before);
                    assert!(
                        value.is_none() && name == "once" || kept(&after) == value,
                        "{patch:?}"
                    );
                }
                is_valid(before, after, of, limits);
            }
            Err(problem) => refused(&problem),
        }
    }
}

/// The resource is what a PUT of it would make, so a client can send it back.
fn is_valid(before: &Attributes, after: Attributes, of: ResourceType, limits: &Limits) {
    let text = serde_json::to_vec(&after).unwrap();
    let put = match of {
        ResourceType::User => user_from_json(&text, &SCHEMAS, limits).map(|read| read.taken),
        ResourceType::Group => {
            group_from_json(&text, &SCHEMAS, limits).map(|read| read.taken.attributes)
        }
    };
    let put = put.and_then(|put| replaced(before, put, of, &SCHEMAS));
    assert_eq!(put, Ok(after));
}
