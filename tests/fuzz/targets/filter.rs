//! Filters: parsing ends, evaluating ends, and both keep the laws of logic.
//! What an index finds must contain every match, because nothing else is read.

use super::{
    refused,
    scim::{
        error::Problem,
        filter::{Filter, Narrow, Subject, fold_case},
        resource::ResourceType,
    },
    world::{self, LIMITS, SCHEMAS, Whole},
};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for of in [ResourceType::User, ResourceType::Group] {
        let read = LIMITS.map(|limits| Filter::parse(text, of, &SCHEMAS, &limits));
        let [lenient, strict] = read;
        // Mostly both modes read the same.
        if strict != lenient {
            judge(text, strict, of, true);
        }
        judge(text, lenient, of, false);
    }
}

fn judge(text: &str, read: Result<Filter, Problem>, of: ResourceType, strict: bool) {
    match read {
        Ok(filter) => keeps_the_laws(text, &filter, of, strict),
        Err(problem) => refused(&problem),
    }
}

fn keeps_the_laws(text: &str, filter: &Filter, of: ResourceType, strict: bool) {
    let limits = &LIMITS[usize::from(strict)];
    let parse = |text: &str| Filter::parse(text, of, &SCHEMAS, limits);
    let grouped = parse(&format!("({text})"));
    let negated = parse(&format!("not ({text})"));
    let narrow = filter.narrow();
    for whole in world::wholes(of) {
        let matches = filter.matches(whole);
        assert_eq!(matches, filter.matches(whole), "twice: {text}");
        // Both are refused where the text is at the limit of depth or length.
        if let Ok(grouped) = &grouped {
            assert_eq!(matches, grouped.matches(whole), "in brackets: {text}");
        }
        if let Ok(negated) = &negated {
            assert_ne!(matches, negated.matches(whole), "negated: {text}");
        }
        let Some(narrow) = &narrow else {
            continue;
        };
        let found = finds(narrow, whole);
        assert!(found || !matches, "{narrow:?} misses a match of {text}");
        if filter.is_decided_by_index() {
            assert_eq!(found, matches, "{narrow:?} does not decide {text}");
        }
    }
}

/// Whether the index that answers it has the resource there.
fn finds(narrow: &Narrow, whole: &Whole) -> bool {
    let same = |name: &str, text: &str| {
        let value = whole.0.get(name).and_then(|value| value.as_str());
        value.is_some_and(|value| fold_case(value) == fold_case(text))
    };
    match narrow {
        Narrow::Id(text) => same("id", text),
        Narrow::UserName(text) => same("userName", text),
        Narrow::ExternalId(text) => whole.0.get("externalId").is_some_and(|id| id == text),
        Narrow::DisplayName(text) => same("displayName", text),
        Narrow::Email(text) => {
            let emails = whole.0.get("emails").and_then(|emails| emails.as_array());
            let mut values = emails
                .into_iter()
                .flatten()
                .filter_map(|email| email["value"].as_str());
            values.any(|value| fold_case(value) == fold_case(text))
        }
        Narrow::Member(text) | Narrow::InGroup(text) => whole.is_linked(text),
        Narrow::UserNamePrefix(text) => {
            let name = whole.0.get("userName").and_then(|name| name.as_str());
            name.is_some_and(|name| fold_case(name).starts_with(&fold_case(text)))
        }
        Narrow::AnyOf(all) => all.iter().any(|one| finds(one, whole)),
        Narrow::Nothing => false,
    }
}
