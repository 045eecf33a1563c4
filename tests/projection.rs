//! `attributes` and `excludedAttributes` (RFC 7644 section 3.9), for every
//! attribute and sub-attribute that is served at `/Schemas`, wherever a
//! resource is answered. What is expected is cut by hand from the whole.

use serde_json::{Map, Value, json};

use crate::support::{World, address, user};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// An attribute or sub-attribute of a schema.
#[derive(Debug, Clone)]
struct Path {
    extension: Option<String>,
    attribute: String,
    sub: Option<String>,
    returned: String,
}

impl Path {
    /// The name as clients write it, in one of its spellings.
    fn spelt(&self, core: &str, spelling: usize) -> String {
        let sub = self
            .sub
            .as_deref()
            .map_or(String::new(), |s| format!(".{s}"));
        let short = format!("{}{sub}", self.attribute);
        let urn = self.extension.as_deref().unwrap_or(core);
        match spelling % 4 {
            0 if self.extension.is_none() => short,
            1 if self.extension.is_none() => short.to_uppercase(),
            2 => format!("{urn}:{short}").to_lowercase(),
            _ => format!("{urn}:{short}"),
        }
    }

    fn is_always(&self) -> bool {
        self.returned == "always"
    }

    /// What `attributes` with this name leaves of a resource.
    fn kept(&self, whole: &Value) -> Value {
        let mut left = Map::new();
        for always in ["schemas", "id"] {
            left.insert(always.into(), whole[always].clone());
        }
        let holder = self
            .extension
            .as_deref()
            .map_or(Some(whole), |urn| whole.get(urn));
        let value = holder.and_then(|holder| holder.get(&self.attribute));
        let value = value.and_then(|value| match &self.sub {
            None => Some(value.clone()),
            Some(sub) => each(value, &|map| map.retain(|name, _| name == sub)),
        });
        if let Some(value) = value {
            match &self.extension {
                None => left.insert(self.attribute.clone(), value),
                Some(urn) => left.insert(urn.clone(), json!({ &self.attribute: value })),
            };
        }
        left.into()
    }

    /// What `excludedAttributes` with this name leaves of a resource.
    fn excluded(&self, whole: &Value) -> Value {
        let mut left = whole.clone();
        let holder = match &self.extension {
            None => Some(&mut left),
            Some(urn) => left.get_mut(urn),
        };
        let Some(holder) = holder.and_then(Value::as_object_mut) else {
            return left;
        };
        if self.is_always() {
            return left;
        }
        if let Some(value) = holder.remove(&self.attribute)
            && let Some(sub) = &self.sub
            && let Some(rest) = each(&value, &|map| drop(map.remove(sub)))
        {
            holder.insert(self.attribute.clone(), rest);
        }
        if let Some(urn) = &self.extension
            && left[urn] == json!({})
        {
            left.as_object_mut().expect("a resource").remove(urn);
        }
        left
    }
}

/// A complex value, or several, after a change; `None` when nothing is left.
fn each(value: &Value, change: &dyn Fn(&mut Map<String, Value>)) -> Option<Value> {
    match value {
        Value::Array(list) => {
            let list: Vec<Value> = list.iter().filter_map(|one| each(one, change)).collect();
            (!list.is_empty()).then(|| list.into())
        }
        Value::Object(map) => {
            let mut map = map.clone();
            change(&mut map);
            (!map.is_empty()).then(|| map.into())
        }
        _ => None,
    }
}

/// All paths of a resource type, by what is served; with the common ones
/// (RFC 7643 section 3.1) and `password`, which is never served.
async fn paths(world: &World, of: &str) -> Vec<Path> {
    let schemas = world.get("/Schemas").await.expect(200).body;
    let core = format!("urn:ietf:params:scim:schemas:core:2.0:{of}");
    let mut paths = Vec::new();
    let mut push = |extension: Option<&str>, attribute: &Value, sub: Option<&Value>| {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        paths.push(Path {
            extension: extension.map(Into::into),
            attribute: text(&attribute["name"]),
            sub: sub.map(|sub| text(&sub["name"])),
            returned: text(&sub.unwrap_or(attribute)["returned"]),
        });
    };
    for schema in schemas["Resources"].as_array().expect("schemas") {
        let urn = schema["id"].as_str().expect("an id");
        if !urn.ends_with(&format!(":{of}")) {
            continue;
        }
        let extension = (urn != core).then_some(urn);
        for attribute in schema["attributes"].as_array().expect("attributes") {
            push(extension, attribute, None);
            for sub in attribute["subAttributes"].as_array().into_iter().flatten() {
                push(extension, attribute, Some(sub));
            }
        }
    }
    let common = |name: &str, returned: &str| json!({"name": name, "returned": returned});
    for (name, returned) in [
        ("id", "always"),
        ("schemas", "always"),
        ("externalId", "default"),
        ("meta", "default"),
        ("password", "never"),
    ] {
        let known = schemas["Resources"].to_string();
        assert!(name != "password" || !known.contains("\"password\""));
        push(None, &common(name, returned), None);
    }
    for sub in [
        "resourceType",
        "created",
        "lastModified",
        "location",
        "version",
    ] {
        let meta = common("meta", "default");
        push(None, &meta, Some(&common(sub, "default")));
    }
    paths
}

fn rich_user(name: &str) -> Value {
    let mut body = user(name);
    let more = json!({
        "schemas": [USER, ENTERPRISE],
        "externalId": format!("x-{name}"),
        "name": {"formatted": "A B", "familyName": "B", "givenName": "A", "middleName": "M"},
        "displayName": "A B",
        "nickName": "N",
        "title": "T",
        "emails": [
            {"value": address(name), "type": "work", "primary": true},
            {"value": "home@example.org", "display": "Home"},
        ],
        "phoneNumbers": [{"value": "+1-555", "type": "mobile"}],
        "addresses": [{"type": "work", "locality": "L"}, {"country": "DE"}],
        "password": "a-secret-password",
        ENTERPRISE: {"department": "D", "manager": {"value": "m"}},
    });
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    body
}

/// Without what a version says of groups, which are only looked at when they
/// are shown.
fn plainly(resource: &Value) -> Value {
    let mut resource = resource.clone();
    if let Some(Value::String(version)) = resource.pointer_mut("/meta/version")
        && let Some((number, _)) = version.split_once('-')
    {
        *version = format!("{number}\"");
    }
    resource
}

/// Every path, included and excluded, in every place that answers with this
/// resource; `body` puts it as it is.
async fn every_path(world: &World, of: &str, id: &str, body: &Value) -> usize {
    let core = if of == "User" { USER } else { GROUP };
    let place = format!("/{of}s/{id}");
    let mut tried = 0;
    for (number, path) in paths(world, of).await.into_iter().enumerate() {
        for (spelling, parameter) in ["attributes", "excludedAttributes"].into_iter().enumerate() {
            let name = path.spelt(core, number + spelling);
            let query = format!("{parameter}={name}");
            let filter = format!("id eq \"{id}\"");
            let list = format!("/{of}s?filter={}&{query}", filter.replace(' ', "+"));
            let search = json!({"filter": filter, parameter: [name]});
            let patch =
                json!([{"op": "replace", "path": "displayName", "value": body["displayName"]}]);
            let got = world.get(&format!("{place}?{query}")).await.expect(200);
            let listed = world.get(&list).await.expect(200);
            let found = world
                .post(&format!("/{of}s/.search"), search)
                .await
                .expect(200);
            let put = world
                .put(&format!("{place}?{query}"), body.clone())
                .await
                .expect(200);
            let patched = world.patch(&format!("{place}?{query}"), patch).await;
            let whole = world.get(&place).await.expect(200).body;
            let expected = match parameter {
                "attributes" => path.kept(&whole),
                _ => path.excluded(&whole),
            };
            for (way, shown) in [
                ("GET", &got.body),
                ("list", &listed.body["Resources"][0]),
                (".search", &found.body["Resources"][0]),
                ("PUT", &put.body),
                ("PATCH", &patched.body),
            ] {
                if way == "PATCH" && patched.status == 204 {
                    continue;
                }
                let (shown, expected) = (plainly(shown), plainly(&expected));
                assert_eq!(shown, expected, "{way} {query}");
            }
            tried += 1;
        }
    }
    tried
}

#[tokio::test]
async fn every_served_attribute_of_a_user_is_shown_when_it_is_asked_for() {
    let world = World::start().await;
    let body = rich_user("rich");
    let id = world.post("/Users", body.clone()).await.expect(201).id();
    world.group("G", std::slice::from_ref(&id)).await;
    assert!(every_path(&world, "User", &id, &body).await > 100);
}

#[tokio::test]
async fn every_served_attribute_of_a_group_is_shown_when_it_is_asked_for() {
    let world = World::start().await;
    let members = [world.user("a").await, world.user("b").await];
    let mut body = crate::support::group("G", &members);
    body["externalId"] = json!("x-g");
    let id = world.post("/Groups", body.clone()).await.expect(201).id();
    assert!(every_path(&world, "Group", &id, &body).await > 20);
}

#[tokio::test]
async fn a_new_resource_is_shown_as_it_is_asked_for() {
    let world = World::start().await;
    for (number, path) in paths(&world, "User").await.into_iter().enumerate() {
        if path.sub.is_some() && number % 7 != 0 {
            continue;
        }
        let name = path.spelt(USER, number);
        let body = rich_user(&format!("n{number}"));
        let query = format!("/Users?attributes={name}");
        let made = world.post(&query, body).await.expect(201);
        let whole = world
            .get(&format!("/Users/{}", made.id()))
            .await
            .expect(200);
        assert_eq!(made.body, path.kept(&whole.body), "{name}");
    }
}

#[tokio::test]
async fn a_whole_extension_and_both_parameters_at_once() {
    let world = World::start().await;
    let made = world.post("/Users", rich_user("rich")).await.expect(201);
    let shown = async |query: &str| {
        let path = format!("/Users/{}?{query}", made.id());
        let mut shown = world.get(&path).await.expect(200).body;
        let map = shown.as_object_mut().expect("a resource");
        assert_eq!(map.remove("id"), Some(json!(made.id())));
        assert!(map.remove("schemas").is_some());
        shown
    };
    // Who the manager is, is shown; the name is not the client's to write.
    let manager = json!({ENTERPRISE: {"manager": {"value": "m"}}});
    for (path, left) in [
        ("manager.value", manager),
        ("manager.displayName", json!({})),
    ] {
        let path = format!("{ENTERPRISE}:{path}");
        assert_eq!(shown(&format!("attributes={path}")).await, left);
        assert_eq!(
            shown(&format!("attributes={}", path.to_uppercase())).await,
            left
        );
    }
    let extension = shown(&format!("attributes={ENTERPRISE}")).await;
    assert_eq!(extension, json!({ENTERPRISE: made.body[ENTERPRISE]}));
    let without = shown(&format!("excludedAttributes={ENTERPRISE}")).await;
    assert!(without.get(ENTERPRISE).is_none() && without["title"] == "T");
    let both = "attributes=name,title&excludedAttributes=name.formatted,title,id,schemas";
    let names = json!({"familyName": "B", "givenName": "A", "middleName": "M"});
    assert_eq!(shown(both).await, json!({"name": names}));
    assert_eq!(shown("attributes=").await, shown("").await);
    assert_eq!(
        shown("attributes=&excludedAttributes=,").await,
        shown("").await
    );
    assert_eq!(shown("attributes=noSuch,password").await, json!({}));
}
