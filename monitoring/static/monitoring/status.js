"use strict";
// Keeps the times moving between two polls. Without it they stand still, and are right.
(() => {
  let offset = 0; // the server's clock minus ours, in milliseconds

  const words = (seconds) => {
    const [d, h, m, s] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
    if (d > 0) return `${d} d ${h} h`;
    if (h > 0) return `${h} h ${m} min`;
    if (m > 0) return `${m} min ${s} s`;
    return `${s} s`;
  };

  const secondsUntil = (moment) => (Date.parse(moment) - Date.now() - offset) / 1000;

  const tick = () => {
    for (const each of document.querySelectorAll("[data-due]")) {
      const left = Math.ceil(secondsUntil(each.dataset.due));
      each.textContent = left > 0 ? `in ${words(left)}` : "due now";
    }
    for (const each of document.querySelectorAll("[data-running]")) {
      each.textContent = words(Math.max(0, -secondsUntil(each.dataset.running)));
    }
  };

  const readClock = () => {
    const live = document.getElementById("live");
    if (live) offset = Date.parse(live.dataset.now) - Date.now();
    tick();
  };

  const lost = (isLost) => {
    const notice = document.getElementById("lost");
    if (notice) notice.hidden = !isLost;
  };

  document.addEventListener("htmx:afterSettle", readClock);
  document.addEventListener("htmx:sendError", () => lost(true));
  document.addEventListener("htmx:responseError", () => lost(true));
  document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) lost(false); });
  readClock();
  setInterval(tick, 1000);
})();
