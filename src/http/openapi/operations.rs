//! What each kind of handler takes and answers, told beside its route: a new
//! route needs a record from here, or a new one (RFC 7644 table 1).

use super::Operation;
use crate::scim::{
    catalog::Assignable,
    resource::ResourceType::{self, Group, User},
};

/// The document's sections.
pub(super) const TAGS: [(&str, &str); 3] = [
    ("Users", "User accounts (RFC 7643 section 4.1)."),
    ("Groups", "Groups and their members (RFC 7643 section 4.2)."),
    (
        "Service",
        "What can be found out about this service (RFC 7644 section 4), and requests about more than one resource type.",
    ),
];

/// What a projection is made of.
const PROJECTION: [&str; 2] = ["attributes", "excludedAttributes"];
const LIST: [&str; 6] = [
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
    "cursor",
];
const CONDITIONS: [&str; 2] = ["If-Match", "If-None-Match"];

/// What no schema can say of a body.
const OF_THE_APPLICATION: &str = "What the application cannot hold is refused with 400, such as a `displayName` of which its own name for a group cannot be made.";

/// What a list over all types is made of.
const ALL_TYPES: &str = "Users, Groups, and the Roles and Entitlements that there are, in this order unless it is sorted. An attribute that a type does not have has no value there.";

/// The headers that name a resource and its version.
const IDENTITY: &[&str] = &["ETag", "Location"];
/// Those of a write, which may be unfinished.
const WRITTEN: &[&str] = &[
    "ETag",
    "Location",
    "drawbridge-pending",
    "drawbridge-dropped-attributes",
];
const WRITTEN_GROUP: &[&str] = &[
    "ETag",
    "Location",
    "drawbridge-pending",
    "drawbridge-dropped-attributes",
    "drawbridge-skipped-members",
];

pub(in crate::http) fn read(of: ResourceType) -> Operation {
    let operation = Operation::new(
        format!("read{}", of.name()),
        of.endpoint(),
        format!("One {}", of.name()),
    );
    let operation = operation
        .takes(&PROJECTION)
        .answers(200, "The resource.", of.name(), IDENTITY)
        .refuses(&[404]);
    versioned(operation)
}

/// 403 is the answer to a filter that must not stand in an address (RFC 7644
/// section 7.5.2).
pub(in crate::http) fn list(of: ResourceType) -> Operation {
    let plural = of.endpoint();
    Operation::new(
        format!("list{plural}"),
        plural,
        format!("{plural}, filtered and in pages"),
    )
    .takes(&LIST)
    .takes(&PROJECTION)
    .answers(
        200,
        "A page of resources.",
        format!("{}List", of.name()),
        &[],
    )
    .refuses(&[403])
}

/// All types in one list (RFC 7644 section 3.4.2.1).
pub(in crate::http) fn root() -> Operation {
    Operation::new(
        "listEverything",
        "Service",
        "All resources, filtered and in pages",
    )
    .explained(ALL_TYPES)
    .takes(&LIST)
    .takes(&PROJECTION)
    .answers(200, "A page of resources.", "ResourceList", &[])
    .refuses(&[403])
}

pub(in crate::http) fn create(of: ResourceType) -> Operation {
    let name = of.name();
    Operation::new(
        format!("create{name}"),
        of.endpoint(),
        format!("Makes a {name}"),
    )
    .explained(OF_THE_APPLICATION)
    .takes(&PROJECTION)
    .body(format!("{name}Body"))
    .answers(201, "It was made.", name, written(of))
    .refuses(&[403, 409])
    .leads_to("read", format!("read{name}"))
    .leads_to("replace", format!("replace{name}"))
    .leads_to("patch", format!("patch{name}"))
    .leads_to("delete", format!("delete{name}"))
}

pub(in crate::http) fn replace(of: ResourceType) -> Operation {
    let name = of.name();
    Operation::new(
        format!("replace{name}"),
        of.endpoint(),
        format!("Replaces a {name}"),
    )
    .explained(OF_THE_APPLICATION)
    .takes(&PROJECTION)
    .takes(&CONDITIONS)
    .body(format!("{name}Body"))
    .answers(200, "It was replaced.", name, written(of))
    .refuses(&[403, 404, 409, 412])
}

/// A group is only shown when attributes are asked for.
pub(in crate::http) fn patch(of: ResourceType) -> Operation {
    let name = of.name();
    let operation = Operation::new(
        format!("patch{name}"),
        of.endpoint(),
        format!("Changes parts of a {name}"),
    )
    .takes(&PROJECTION)
    .takes(&CONDITIONS)
    .body("PatchOp")
    .answers(200, "It was changed.", name, written(of))
    .refuses(&[403, 404, 409, 412]);
    match of {
        User => operation,
        Group => operation.answers_bare(
            204,
            "It was changed, and no attributes were asked for.",
            &[
                "ETag",
                "drawbridge-pending",
                "drawbridge-dropped-attributes",
                "drawbridge-skipped-members",
            ],
        ),
    }
}

pub(in crate::http) fn delete(of: ResourceType) -> Operation {
    let name = of.name();
    Operation::new(
        format!("delete{name}"),
        of.endpoint(),
        format!("Deletes a {name}"),
    )
    .takes(&CONDITIONS)
    .answers_bare(204, "It was deleted.", &[])
    .refuses(&[403, 404, 409, 412])
}

pub(in crate::http) fn search(id: &'static str, among: &'static str) -> Operation {
    let (tag, list) = match among {
        "Users" => ("Users", "UserList"),
        "Groups" => ("Groups", "GroupList"),
        "Roles" => ("Service", "RoleList"),
        "Entitlements" => ("Service", "EntitlementList"),
        _ => ("Service", "ResourceList"),
    };
    let operation = Operation::new(
        id,
        tag,
        format!("{among} searched by a body, which no log keeps"),
    )
    .body("SearchRequest")
    .answers(200, "A page of resources.", list, &[]);
    match list {
        "ResourceList" => operation.explained(ALL_TYPES),
        _ => operation,
    }
}

pub(in crate::http) fn service_provider_config() -> Operation {
    discovery(
        "readServiceProviderConfig",
        "What this service can do",
        "ServiceProviderConfig",
    )
}

pub(in crate::http) fn schemas() -> Operation {
    discovery("listSchemas", "The schemas of all resources", "SchemaList")
}

pub(in crate::http) fn schema() -> Operation {
    discovery("readSchema", "One schema", "Schema").refuses(&[404])
}

pub(in crate::http) fn resource_types() -> Operation {
    discovery(
        "listResourceTypes",
        "The types of resources",
        "ResourceTypeList",
    )
}

pub(in crate::http) fn resource_type() -> Operation {
    discovery("readResourceType", "One type of resources", "ResourceType").refuses(&[404])
}

/// A list that is read only.
pub(in crate::http) fn catalog(of: Assignable) -> Operation {
    let (name, plural) = (of.name(), of.endpoint());
    let summary = format!("{plural} that can be assigned to users");
    let operation = Operation::new(format!("list{plural}"), "Service", summary)
        .takes(&LIST)
        .takes(&PROJECTION)
        .answers(200, "A page of them.", format!("{name}List"), &["ETag"])
        .refuses(&[403]);
    versioned(operation)
}

pub(in crate::http) fn entry(of: Assignable) -> Operation {
    let name = of.name();
    let operation = Operation::new(format!("read{name}"), "Service", format!("One {name}"))
        .takes(&PROJECTION)
        .answers(200, "What is asked for.", name, &["ETag"])
        .refuses(&[404]);
    versioned(operation)
}

pub(in crate::http) fn bulk() -> Operation {
    Operation::new("bulk", "Service", "Many writes in one request")
        .explained(
            "Each operation is answered as its single request would be; what is wrong with one is told in its place. A bulkId is a reference where the schemas have the identifier of a resource; Groups do not nest, and so cannot refer to each other in a circle. 413 also when there are too many of them.",
        )
        .body("BulkRequest")
        .answers(
            200,
            "What became of the operations.",
            "BulkResponse",
            &[
                "drawbridge-pending",
                "drawbridge-dropped-attributes",
                "drawbridge-skipped-members",
            ],
        )
}

pub(in crate::http) fn openapi() -> Operation {
    versioned(
        Operation::new("readOpenapi", "Service", "This document")
            .answers_json("The document.", "OpenAPI"),
    )
}

/// What every path answers beside its own methods (RFC 9110 section 9.3.7).
pub(in crate::http) fn options(path: &str) -> Operation {
    let named = path.split(['/', '.', '{', '}']).filter(|s| !s.is_empty());
    let id = named.fold("options".to_owned(), |id, part| id + "_" + part);
    Operation::new(id, "Service", "The methods of this path")
        .of_any_id()
        .answers_bare(204, "They are in `Allow`.", &["Allow"])
}

/// 403 is the answer to a filter (RFC 7644 section 4).
fn discovery(id: &'static str, summary: &'static str, schema: &'static str) -> Operation {
    let operation = Operation::new(id, "Service", summary)
        .explained(
            "It cannot be filtered: a query with the parameter `filter` is refused with 403.",
        )
        .answers(200, "What is asked for.", schema, &["ETag"])
        .refuses(&[403]);
    versioned(operation)
}

/// A read that may be made dependent on the version that the client has.
fn versioned(operation: Operation) -> Operation {
    operation
        .takes(&CONDITIONS)
        .answers_bare(304, "The client's version is the present one.", &["ETag"])
        .refuses(&[412])
}

fn written(of: ResourceType) -> &'static [&'static str] {
    match of {
        User => WRITTEN,
        Group => WRITTEN_GROUP,
    }
}
