// The cloud's run addresses look like /?o=1#job/<job_id>/run/<run_id>; ours have paths.
const wanted = /^#job\/\d+\/run\/(\d+)$/.exec(location.hash) || /^#(job)\/(\d+)$/.exec(location.hash);
if (location.pathname === "/" && wanted) {
  location.replace(wanted[1] === "job" ? `/jobs/${wanted[2]}` : `/runs/${wanted[1]}`);
}

// While something is alive the page asks for itself again and shows what changed.
const PERIOD = 1500;
let shown = document.querySelector("main").innerHTML;
async function refresh() {
  const main = document.querySelector("main");
  if (!main.hasAttribute("data-alive")) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector("main");
    if (next && next.innerHTML !== shown) {
      shown = next.innerHTML;
      const opened = [...main.querySelectorAll("details")].map((item) => item.open);
      next.querySelectorAll("details").forEach((item, index) => { item.open = opened[index] });
      main.replaceWith(document.adoptNode(next));
    }
  } catch {
    // The workspace may be restarting: the next period tries again.
  }
  setTimeout(refresh, PERIOD);
}
setTimeout(refresh, PERIOD);

// Outputs of notebooks are in frames that run no scripts; only this page may look into them.
const TALLEST = 2000;
function fit(frame) {
  const content = frame.contentDocument && frame.contentDocument.documentElement;
  if (!content) return;
  const borders = frame.offsetHeight - frame.clientHeight;
  const scrollbar = content.scrollWidth > content.clientWidth ? 16 : 0;
  const height = Math.ceil(content.getBoundingClientRect().height) + borders + scrollbar;
  frame.style.height = `${Math.min(height, TALLEST)}px`;
}
const fitAll = () => document.querySelectorAll(".cell iframe").forEach(fit);
document.addEventListener("load", (event) => {
  if (event.target instanceof HTMLIFrameElement) fit(event.target);
}, true);
addEventListener("resize", fitAll);
fitAll();
