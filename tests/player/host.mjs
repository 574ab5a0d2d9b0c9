// A host as the specification has it, on the official AppBridge. What it does for the page is written down in `log`.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

window.log = [];
const note = (what, facts) => window.log.push({ what, ...facts });

window.show = async ({ html, csp, theme, sandbox, args, result, capabilities }) => {
  document.documentElement.style.setProperty("--page", theme === "dark" ? "#000" : "#f4f4f6");
  const frame = document.getElementById("frame");
  const bridge = new AppBridge(null, { name: "test host", version: "1" }, capabilities, {
    hostContext: { theme, displayMode: "inline" },
  });
  window.bridge = bridge;
  bridge.oncalltool = async params => { note("tools/call", params); return await window.mcp("callTool", params) };
  bridge.onreadresource = async params => { note("resources/read", params); return await window.mcp("readResource", params) };
  bridge.onopenlink = async params => { note("open-link", params); return {} };
  bridge.ondownloadfile = async params => { note("download-file", { contents: params.contents }); return {} };
  bridge.onmessage = async params => { note("message", params); return {} };
  bridge.onupdatemodelcontext = async params => { note("model-context", params.structuredContent); return {} };
  bridge.addEventListener("sizechange", params => note("size", params));
  const ready = new Promise(done => bridge.addEventListener("initialized", done));
  bridge.addEventListener("sandboxready", () => bridge.sendSandboxResourceReady({ html, csp }));
  frame.src = `${sandbox}?csp=${encodeURIComponent(JSON.stringify(csp || {}))}`;
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await ready;
  if (args) await bridge.sendToolInput({ arguments: args });
  if (result) await bridge.sendToolResult(result);
};
