//! What the standard schemas hold, and what bends them.

use super::*;

#[test]
fn uniqueness_is_claimed_where_the_store_sees_to_it() {
    let schemas = schemas();
    let mut unique = Vec::new();
    let resources = [USER, GROUP, ENTERPRISE];
    let documents = schemas.documents().iter();
    for document in documents.filter(|d| resources.contains(&id(d))) {
        for attribute in document["attributes"].as_array().unwrap() {
            for definition in std::iter::once(attribute).chain(parts(attribute)) {
                if !is(definition, "uniqueness", "none") {
                    unique.push((id(document), name(definition)));
                }
            }
        }
    }
    let held = [
        (USER, "userName"),
        (USER, "externalId"),
        (GROUP, "displayName"),
        (GROUP, "externalId"),
    ];
    assert_eq!(unique, held);
}

/// RFC 7643 section 8.7: what the standard schemas must say. `other` of an
/// instant messaging address is section 4.1.2's.
#[test]
fn the_standard_schemas_have_the_attributes_of_the_rfc() {
    let schemas = schemas();
    let of = |urn: &str| {
        let document = schemas.documents().iter().find(|d| id(d) == urn).unwrap();
        document["attributes"].as_array().unwrap().clone()
    };
    let names =
        |list: &[Value]| -> Vec<String> { list.iter().map(|a| name(a).to_owned()).collect() };
    let part = |urn: &str, attribute: &str, part: &str| {
        let list = of(urn);
        let attribute = list.iter().find(|a| name(a) == attribute).unwrap().clone();
        parts(&attribute)
            .iter()
            .find(|p| name(p) == part)
            .unwrap()
            .clone()
    };
    for wanted in [
        "userName",
        "name",
        "displayName",
        "nickName",
        "profileUrl",
        "title",
        "userType",
        "preferredLanguage",
        "locale",
        "timezone",
        "active",
        "emails",
        "phoneNumbers",
        "ims",
        "photos",
        "addresses",
        "entitlements",
        "roles",
        "x509Certificates",
    ] {
        assert!(
            names(&of(USER)).iter().any(|name| name == wanted),
            "{wanted}"
        );
    }
    assert!(names(&of(USER)).iter().all(|name| name != "password"));
    for wanted in [
        "employeeNumber",
        "costCenter",
        "organization",
        "division",
        "department",
        "manager",
    ] {
        assert!(
            names(&of(ENTERPRISE)).iter().any(|name| name == wanted),
            "{wanted}"
        );
    }
    for (attribute, canonical) in [
        ("emails", json!(["work", "home", "other"])),
        (
            "phoneNumbers",
            json!(["work", "home", "mobile", "fax", "pager", "other"]),
        ),
        (
            "ims",
            json!([
                "aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"
            ]),
        ),
        ("photos", json!(["photo", "thumbnail"])),
        ("addresses", json!(["work", "home", "other"])),
    ] {
        assert_eq!(
            part(USER, attribute, "type")["canonicalValues"],
            canonical,
            "{attribute}"
        );
    }
    for attribute in [
        "emails",
        "phoneNumbers",
        "ims",
        "photos",
        "entitlements",
        "roles",
        "x509Certificates",
    ] {
        for wanted in ["value", "display", "type", "primary"] {
            part(USER, attribute, wanted);
        }
    }
    for wanted in [
        "formatted",
        "streetAddress",
        "locality",
        "region",
        "postalCode",
        "country",
        "type",
    ] {
        part(USER, "addresses", wanted);
    }
    for wanted in [
        "formatted",
        "familyName",
        "givenName",
        "middleName",
        "honorificPrefix",
        "honorificSuffix",
    ] {
        part(USER, "name", wanted);
    }
    assert_eq!(
        part(USER, "photos", "value")["referenceTypes"],
        json!(["external"])
    );
    assert_eq!(part(USER, "x509Certificates", "value")["type"], "binary");
    assert_eq!(
        part(ENTERPRISE, "manager", "$ref")["referenceTypes"],
        json!(["User"])
    );
    assert_eq!(
        part(ENTERPRISE, "manager", "displayName")["mutability"],
        "readOnly"
    );
    for (member, mutability) in [
        ("value", "immutable"),
        ("$ref", "immutable"),
        ("type", "immutable"),
        ("display", "readOnly"),
    ] {
        assert_eq!(
            part(GROUP, "members", member)["mutability"],
            mutability,
            "{member}"
        );
    }
}

#[test]
fn an_adjustment_that_closes_an_attribute_closes_its_parts() {
    let adjustment = Adjustment {
        schema: USER.into(),
        attribute: "entitlements".into(),
        mutability: Some("readOnly"),
        canonical_values: Vec::new(),
        note: String::new(),
    };
    let schemas = Schemas::new(&[], &[adjustment]);
    let entitlements = schemas
        .kind(ResourceType::User)
        .attribute(None, "entitlements");
    let entitlements = entitlements.unwrap();
    let closed = |a: &Attribute| a.mutability == Mutability::ReadOnly;
    assert!(closed(entitlements) && entitlements.sub.iter().all(closed));
}
