//! What the admin key sees and does: workspaces and their keys.

use postrider_tests::Server;

use crate::driver::{Browser, tools};

#[test]
fn workspaces_and_keys_are_made_named_limited_revoked_and_deleted() {
    if tools().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let browser = Browser::open(&server).unwrap();
    browser.sign_in(server.admin().key());
    browser.fill("Name", "first");
    browser.choose("Profile", "snaily");
    browser.press("Create workspace");
    browser.wait_for("Workspace created.");
    browser.fill("Name", "second");
    browser.press("Rename");
    browser.wait_for("Workspace renamed.");
    assert_eq!(browser.text_of("h1"), "second");

    let name = browser.find("#key-name");
    browser.send_keys(&name, "reporting");
    browser.press("Create key");
    browser.wait("what is missing", || (browser.count("[role=alert]") == 1).then_some(()));
    let name = browser.find("#key-name");
    browser.send_keys(&name, "reporting");
    browser.tick("READ");
    browser.press("Create key");
    browser.wait_for("Key created;");
    let key = browser.text_of(".secret");
    let page = browser.path();

    // It sees everything and changes nothing.
    let reader = server.client(&key);
    reader.get("/v1/webhooks").expect(200);
    let other = Browser::open(&server).unwrap();
    other.sign_in(&key);
    other.wait_for("There is no webhook yet");
    assert!(!other.text().contains("Add webhook"));
    other.go("/dashboard/workspaces/wsp_x");
    assert!(!other.text().contains("second ("), "{}", other.text());

    browser.go(&page);
    let row = "[...document.querySelectorAll('tr')].find((row) => row.innerText.includes('reporting'))";
    browser.run(&format!("{row}.querySelector('summary').click()"), &[]);
    browser.press("Revoke it now");
    browser.wait_for("Key revoked; it is refused from now on.");
    reader.get("/v1/webhooks").expect(401);
    other.go("/dashboard/events");
    other.wait_for("Sign in");

    browser.follow("Server");
    browser.press("Snaily snaily");
    browser.wait_for("removed: nothing sends it again, and its payload is erased");
    for words in
        ["127.0.0.0/8", "Workspaces\n1", "X-Snaily-Token", "12h, 12h", "Attempts in flight\n0", "Log on disk\n64.0 MiB"]
    {
        assert!(browser.text().contains(words), "{words} in {}", browser.text());
    }
    other.go("/dashboard/server");
    assert!(!other.text().contains("127.0.0.0/8"), "only the admin key sees it");

    browser.go(&page);
    browser.press("Delete");
    browser.fill("Write its id to confirm", "something else");
    browser.press("Delete workspace");
    browser.wait_for("must be the id of the workspace");
    browser.go(&page);
    browser.press("Delete");
    let id = page.rsplit('/').next().unwrap();
    browser.fill("Write its id to confirm", id);
    browser.press("Delete workspace");
    browser.wait_for("Workspace deleted.");
    assert!(browser.text().contains("There is none yet."));
}
