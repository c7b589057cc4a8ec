// Builds the page into service/static: hashed files, each with its compressed twins, nothing inlined, nothing from elsewhere.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import { defineConfig, type Plugin } from "vite";

const OUT = "../service/static";
const API = process.env["VOXELSMITH_URL"] ?? "http://127.0.0.1:8000";
const CALLS = [
  "/generate",
  "/encode",
  "/edit",
  "/translate",
  "/jobs",
  "/models",
  "/healthz",
  "/readyz",
  "/docs",
  "/openapi.json",
];

/** The service sends these as they are, so that no request pays for compressing. */
function compressedTwins(): Plugin {
  let folder = "";
  return {
    name: "compressed-twins",
    apply: "build",
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg|json)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = readFileSync(path);
        if (bytes.length < 512) continue;
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
        const quality = { [constants.BROTLI_PARAM_QUALITY]: 10, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: quality }));
      }
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [compressedTwins()],
  // NiiVue would load these to read Zarr, which the service does not write: 1.4 MB that no page asks for.
  resolve: { alias: [{ find: /^numcodecs\/.*$/, replacement: join(import.meta.dirname, "absent.ts") }] },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a data: script or style would need a wider policy
    modulePreload: { polyfill: false },
    license: { fileName: "assets/licences.txt" }, // of all that is bundled, as their licences ask for
    chunkSizeWarningLimit: 4000, // NiiVue, loaded after the shell
  },
  server: {
    // The service refuses posts whose Origin is another site: the proxy speaks for the page under the service's own name.
    proxy: Object.fromEntries(
      CALLS.map((path) => [path, { target: API, changeOrigin: true, headers: { origin: API } }]),
    ),
  },
});
