// Names the search dialog, and lets the keyboard reach what scrolls.
const improve = () => {
  document.querySelectorAll("[role=dialog]").forEach((dialog) => dialog.setAttribute("aria-label", "Search"));
  const scrolling = "pre > code, .md-typeset__scrollwrap, .equation";
  document.querySelectorAll(scrolling).forEach((element) => { element.tabIndex = 0; });
};
window.addEventListener("load", improve);
