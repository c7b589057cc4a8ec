"""What `/` shows where the page was not built: what this is, how to build the page, and where to go meanwhile."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""For pages of ours that load nothing, run nothing and carry their own style."""
PLAIN_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Voxelsmith</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; color: #1c2330 }
pre { background: #f1f3f6; padding: .8rem 1rem; overflow-x: auto; border-radius: 6px }
code { font-family: ui-monospace, monospace; font-size: .9em }
td { padding: .15rem 1.2rem .15rem 0; vertical-align: top }
</style>
</head>
<body>
<h1>Voxelsmith</h1>
<p>This server makes three-dimensional medical images with trained generative networks: from a seed, from a real scan,
or along a latent direction. Everything it makes is synthetic and says so in its header.</p>
<p><b>The page that shows volumes is not built here.</b> It needs Node.js 20.19 or later once: <code>make web</code>
in the project's folder, then start the server again. All calls work without it.</p>
<pre><code>curl -X POST http://127.0.0.1:8000/generate -H 'Content-Type: application/json' \\
     -H 'Prefer: wait=60' -d '{"model": "brain-demo-256", "seed": 42}'</code></pre>
<table>
<tr><td><a href="models">/models</a></td><td>the models, with their cards</td></tr>
<tr><td><a href="jobs">/jobs</a></td><td>the jobs, newest first</td></tr>
<tr><td><a href="docs">/docs</a></td><td>every call and its fields</td></tr>
<tr><td><a href="openapi.json">/openapi.json</a></td><td>the same for programs</td></tr>
<tr><td><a href="readyz">/readyz</a></td><td>whether the server can serve</td></tr>
</table>
</body>
</html>
"""
