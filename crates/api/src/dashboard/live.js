// Renews the parts of a page that are marked with data-live as attempts end. Without it the page shows what was when it was loaded.
"use strict";
(() => {
  const PAUSE_MS = 1500;
  const regions = () => document.querySelectorAll("[data-live]");
  if (regions().length === 0) return;
  const only = document.querySelector("[data-live-webhook]")?.dataset.liveWebhook;
  let source = null;
  let isBusy = false;
  let isStale = false;

  // A part that is being read or filled in stays as it is.
  const isInUse = (region) => region.contains(document.activeElement) || region.querySelector("details[open]") !== null;

  async function renew() {
    if (isBusy) {
      isStale = true;
      return;
    }
    isBusy = true;
    isStale = false;
    try {
      const answer = await fetch(location.href, { headers: { "postrider-renewal": "1" }, redirect: "error" });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const region of regions()) {
          const next = fresh.getElementById(region.id);
          if (next && !isInUse(region)) region.replaceWith(document.adoptNode(next));
        }
      }
    } catch {
      // The server is away, or the session is over: the page stays as it is.
    }
    setTimeout(() => {
      isBusy = false;
      if (isStale) renew();
    }, PAUSE_MS);
  }

  function watch() {
    // A hidden page holds no connection: browsers have few of them for one server.
    if (document.hidden) {
      source?.close();
      source = null;
      return;
    }
    if (source) return;
    source = new EventSource("/dashboard/live");
    source.addEventListener("open", renew);
    source.addEventListener("missed", renew);
    source.addEventListener("attempt", (message) => {
      if (!only || String(JSON.parse(message.data).webhookId) === only) renew();
    });
  }
  document.addEventListener("visibilitychange", watch);
  watch();
})();
