//! Where `save` finds its value in an answer: `id`, `Resources[0].id`,
//! `['urn:…:User'].department`. Only plain steps; a filter would hide what a
//! case relies on.

use serde_json::Value;

/// The value at `path`, or nothing when the path leads nowhere or is malformed.
pub(crate) fn find<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = root;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let (key, after) = quoted.split_once("']")?;
            value = value.get(key)?;
            rest = after;
        } else if let Some(index) = rest.strip_prefix('[') {
            let (index, after) = index.split_once(']')?;
            value = value.get(index.parse::<usize>().ok()?)?;
            rest = after;
        } else {
            let plain = rest.strip_prefix('.').unwrap_or(rest);
            let end = plain.find(['.', '[']).unwrap_or(plain.len());
            let (key, after) = plain.split_at(end);
            value = value.get(key)?;
            rest = after;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::find;

    #[test]
    fn members_elements_and_quoted_keys_are_reached() {
        let answer =
            json!({"id": "7", "Resources": [{"id": "8"}], "urn:x:2.0:User": {"d": [1, 2]}});
        assert_eq!(find(&answer, "id"), Some(&json!("7")));
        assert_eq!(find(&answer, "Resources[0].id"), Some(&json!("8")));
        assert_eq!(find(&answer, "['urn:x:2.0:User'].d[1]"), Some(&json!(2)));
    }

    #[test]
    fn a_path_into_nothing_finds_nothing() {
        let answer = json!({"Resources": []});
        for path in [
            "id",
            "Resources[0].id",
            "Resources[x]",
            "Resources[0",
            "['a",
        ] {
            assert_eq!(find(&answer, path), None, "{path}");
        }
    }
}
