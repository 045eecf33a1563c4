//! Paths of a PATCH: in canonical spelling a path leads to the same place, in
//! every mode, and whatever it leads to can be removed or is refused.

use serde_json::json;

use super::{
    refused,
    scim::{json::Limits, patch, path::Path, resource::ResourceType},
    world::{self, LIMITS, SCHEMAS},
};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for of in [ResourceType::User, ResourceType::Group] {
        for limits in &*LIMITS {
            match removal(text, of, limits) {
                Ok(patch) => {
                    let [change] = patch.attributes.as_slice() else {
                        continue;
                    };
                    let again = removal(&canonical(&change.path, text), of, limits);
                    let again = again.map(|patch| patch.attributes);
                    assert_eq!(again, Ok(vec![change.clone()]), "{text}");
                    applied(&patch, of);
                }
                Err(problem) => refused(&problem),
            }
        }
    }
}

fn removal(
    path: &str,
    of: ResourceType,
    limits: &Limits,
) -> Result<patch::Patch, super::scim::error::Problem> {
    let body = json!({"Operations": [{"op": "remove", "path": path}]});
    let body = serde_json::to_vec(&body).unwrap();
    patch::parse(&body, of, &SCHEMAS, limits).map(|read| read.taken)
}

/// The path in canonical spelling, with the filter as it was written.
fn canonical(path: &Path, written: &str) -> String {
    let mut names: Vec<&str> = path.extension.as_deref().into_iter().collect();
    if !path.attribute.is_empty() {
        names.push(&path.attribute);
    }
    let mut text = names.join(":");
    if path.filter.is_some() {
        let end = written.rfind(']').unwrap();
        text.push_str(&written[written.find('[').unwrap()..=end]);
    }
    if let Some(sub) = &path.sub_attribute {
        text.push('.');
        text.push_str(sub);
    }
    text
}

fn applied(patch: &patch::Patch, of: ResourceType) {
    for before in world::resources(of) {
        let mut after = before.clone();
        match patch.apply(&mut after, &world::id(), of, &SCHEMAS) {
            Ok(changed) => assert_eq!(changed, after != *before, "{patch:?}"),
            Err(problem) => refused(&problem),
        }
    }
}
