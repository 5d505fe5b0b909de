//! The document and the router say the same, and operations answer without a key.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;

use crate::support::{World, request};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[tokio::test]
async fn every_route_is_in_the_document_and_nothing_else_is() {
    let world = World::new();
    let document = world.get("", "/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 17, "{}", paths.len());
    for (path, item) in paths {
        for method in METHODS {
            let real = path.replace("{webhookId}", "1").replace("{id}", "x").replace("{keyId}", "x");
            let asked = request(method.to_uppercase().parse::<Method>().unwrap(), "", &real, None, Body::empty());
            let status = world.send(asked).await.status.as_u16();
            if item.get(method).is_some() {
                assert!(matches!(status, 200 | 401), "{method} {path} is described and answers {status}");
            } else {
                assert_eq!(status, 405, "{method} {path} is not described");
            }
        }
    }
}

#[tokio::test]
async fn every_operation_describes_its_answers_and_every_reference_leads_somewhere() {
    let document = serde_json::to_value(postrider_api::openapi()).expect("a document");
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let what = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{what}");
            assert!(names.insert(operation["operationId"].to_string()), "{what} has the name of another");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{what}");
            if path.starts_with("/v1") {
                for status in ["401", "403", "422", "503"] {
                    assert!(responses.contains_key(status), "{what}: {status}");
                }
            }
            if matches!(&**method, "post" | "patch")
                && !["/retry", "/pause", "/resume"].iter().any(|verb| path.ends_with(verb))
            {
                assert!(operation["requestBody"].is_object(), "{what}");
            }
            for parameter in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                let described = operation["parameters"].as_array().into_iter().flatten();
                assert!(
                    described.into_iter().any(|p| p["name"] == parameter && p["in"] == "path"),
                    "{what}: {parameter}"
                );
            }
        }
    }
    assert!(document["components"]["securitySchemes"]["apiKey"].is_object());
    let mut pending = vec![&document];
    while let Some(value) = pending.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "{reference}");
        }
        match value {
            Value::Array(values) => pending.extend(values),
            Value::Object(members) => pending.extend(members.values()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn operations_need_no_key() {
    let world = World::new();
    for path in ["/healthz", "/readyz", "/openapi.json", "/metrics"] {
        assert_eq!(world.get("", path).await.status, 200, "{path}");
    }
    let metrics = world.get("", "/metrics").await;
    assert!(metrics.headers["content-type"].to_str().is_ok_and(|t| t.starts_with("text/plain")));
    assert_eq!(world.get("", "/readyz").await.data()["ready"], true);
}
