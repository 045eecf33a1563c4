//! The shape of a PATCH request (RFC 7644 section 3.5.2): which members the
//! message and its operations have, and what `op` may be. Strictly there is
//! no other member, `schemas` names the message, and `op` is lower case, as
//! the RFC spells it.

use serde_json::{Map, Value};

use crate::scim::{
    error::{Problem, ScimType},
    json::quoted,
    message::PATCH_OP,
    patch::Verb,
};

/// Takes members of an object by name in any letter case.
pub(in crate::scim::patch) fn named<const N: usize>(
    object: Map<String, Value>,
    names: [&str; N],
    strict: bool,
) -> Result<[Option<Value>; N], Problem> {
    let mut found = [const { None }; N];
    for (name, value) in object {
        let mut slots = names.iter().zip(&mut found);
        let Some((name, slot)) = slots.find(|(known, _)| known.eq_ignore_ascii_case(&name)) else {
            if strict {
                let name = quoted(&name);
                return Err(syntax(&format!("a PATCH request has no member {name}")));
            }
            continue;
        };
        if slot.is_some() {
            return Err(syntax(&format!("{name} is given twice")));
        }
        *slot = Some(value);
    }
    Ok(found)
}

/// Demands that `schemas` names the message, and nothing else.
pub(in crate::scim::patch) fn patch_op(schemas: Option<&Value>) -> Result<(), Problem> {
    let named = schemas.and_then(Value::as_array).map(Vec::as_slice);
    match named {
        Some([Value::String(urn)]) if urn.eq_ignore_ascii_case(PATCH_OP) => Ok(()),
        _ => Err(syntax(&format!("schemas must be [{PATCH_OP:?}]"))),
    }
}

pub(super) fn verb(op: Option<&Value>, strict: bool) -> Result<Verb, Problem> {
    const VERBS: [(&str, Verb); 3] = [
        ("add", Verb::Add),
        ("remove", Verb::Remove),
        ("replace", Verb::Replace),
    ];
    let Some(op) = op.and_then(Value::as_str) else {
        return Err(syntax(
            "every operation needs an op: add, remove or replace",
        ));
    };
    let is = |name: &str| name == op || (!strict && name.eq_ignore_ascii_case(op));
    let mut verbs = VERBS.into_iter();
    verbs
        .find_map(|(name, verb)| is(name).then_some(verb))
        .ok_or_else(|| {
            let op = quoted(op);
            syntax(&format!("op must be add, remove or replace, not {op}"))
        })
}

pub(in crate::scim::patch) fn syntax(detail: &str) -> Problem {
    Problem::bad(ScimType::InvalidSyntax, detail)
}
