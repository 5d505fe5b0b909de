//! Prints the page about the API, made of `docs/openapi.json`.

fn main() {
    let document = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("the document is JSON");
    print!("{}", postrider_tests::reference::page(&document));
}
