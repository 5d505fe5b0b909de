//! Workspaces and keys, by the admin key.

use axum::http::header;

use super::browser::Browser;
use crate::support::{ADMIN, World};

/// The key that a page shows once.
fn shown_key(page: &str) -> String {
    let (_, rest) = page.split_once(r#"<code class="secret">"#).expect("a key is shown");
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_workspace_is_made_renamed_and_deleted_when_its_id_is_written() {
    let world = World::new();
    let admin = Browser::with_key(&world, ADMIN).await;
    let (path, page) = admin.do_form("/dashboard/workspaces", &[("name", "<b>Acme</b>"), ("profile", "snaily")]).await;
    let key = shown_key(&page);
    assert_eq!(world.get(&key, "/v1/webhooks").await.status, 200);
    assert!(!admin.page(&path).await.contains(&key), "a key is shown once");
    assert!(page.contains("&lt;b&gt;Acme") && !page.contains("<b>Acme"));
    let (_, page) = admin.do_form(&path, &[("name", "Acme")]).await;
    assert!(page.contains("<h1>Acme</h1>"), "{page}");
    assert_eq!(admin.submit(&path, &[("name", "")]).await.status, 422);
    let refused = admin.submit("/dashboard/workspaces", &[("name", "x"), ("profile", "other")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("must be one of"), "{}", refused.text);
    let delete = format!("{path}/delete");
    assert!(admin.page(&delete).await.contains("Write its id"));
    assert_eq!(admin.submit(&delete, &[("confirm", "Acme")]).await.status, 422);
    let id = path.rsplit('/').next().unwrap().to_owned();
    let (_, page) = admin.do_form(&delete, &[("confirm", &id)]).await;
    assert!(page.contains("Workspace deleted."));
    assert_eq!(world.get(&key, "/v1/webhooks").await.status, 401);
}

#[tokio::test]
async fn a_key_is_made_with_scopes_and_revoked() {
    let world = World::new();
    let (id, _) = world.workspace("genesy").await;
    let admin = Browser::with_key(&world, ADMIN).await;
    let path = format!("/dashboard/workspaces/{id}");
    let (_, page) = admin.do_form(&format!("{path}/keys"), &[("name", "reader"), ("scopes", "READ")]).await;
    let key = shown_key(&page);
    assert_eq!(world.get(&key, "/v1/webhooks").await.status, 200);
    assert_eq!(world.post(&key, "/v1/webhooks", "{}").await.status, 403);
    let refused = admin.submit(&format!("{path}/keys"), &[("name", "none")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("must name at least one of READ, EVENTS_WRITE, ALL"));
    let (_, rest) = page.split_once("reader").unwrap();
    let (_, rest) = rest.split_once("<code>").unwrap();
    let key_id = rest.split('<').next().unwrap();
    let (_, page) = admin.do_form(&format!("{path}/keys/{key_id}/revoke"), &[]).await;
    assert!(page.contains("Key revoked"));
    assert_eq!(world.get(&key, "/v1/webhooks").await.status, 401);
    assert_eq!(admin.submit(&format!("{path}/keys/{key_id}/revoke"), &[]).await.status, 404);
}

#[tokio::test]
async fn the_admin_key_and_workspace_keys_keep_to_their_own() {
    let world = World::new();
    let (id, key) = world.workspace("genesy").await;
    let admin = Browser::with_key(&world, ADMIN).await;
    let member = Browser::with_key(&world, &key).await;
    for path in ["/dashboard/events", "/dashboard/deliveries", "/dashboard/webhooks/new", "/dashboard/live"] {
        assert_eq!(admin.open(path).await.status, 403, "{path}");
    }
    let path = format!("/dashboard/workspaces/{id}");
    for page in ["", "/delete"] {
        assert_eq!(member.open(&format!("{path}{page}")).await.status, 403, "{page}");
    }
    for action in ["", "/delete", "/keys"] {
        let answer =
            member.submit(&format!("{path}{action}"), &[("name", "x"), ("scopes", "ALL"), ("confirm", &id)]).await;
        assert_eq!(answer.status, 403, "{action}");
        assert!(!answer.headers.contains_key(header::LOCATION));
    }
    assert_eq!(member.submit("/dashboard/workspaces", &[("name", "x"), ("profile", "genesy")]).await.status, 403);
}
