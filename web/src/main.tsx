// Where the page begins.
import { render } from "preact";

import { App } from "./app";
import { keepModels } from "./catalogue";
import { keepMarks } from "./jobs/marks";
import { followAddress } from "./route";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/notices.css";
import "./styles/layout.css";
import "./styles/viewer.css";
import "./styles/measure.css";
import "./styles/views.css";
import "./styles/gallery.css";
import "./styles/models.css";
import { applyTheme } from "./theme";

applyTheme();
followAddress();
keepModels();
keepMarks();
const root = document.getElementById("app");
if (root) render(<App />, root);
