// Before anything is painted: light, dark, or what the system wants. No module, since those run late.
"use strict";
(() => {
  const KEY = "kogner-theme";
  const ORDER = ["system", "light", "dark"];
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden
    }
  };
  const set = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  let theme = ORDER.includes(stored()) ? stored() : "system";
  set(theme);
  window.kognerTheme = {
    get now() {
      return theme;
    },
    get next() {
      return ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    },
    turn() {
      theme = this.next;
      set(theme);
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // then it holds until the page is left
      }
    },
  };
})();
