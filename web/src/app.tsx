// The shell: a bar with the views, and the view that the address names.
import { apiKey } from "./api/key";
import { formatRoute, route, type View } from "./route";
import { theme, turnTheme } from "./theme";
import { Confirm } from "./ui/confirm";
import { Button } from "./ui/controls";
import { Mark } from "./ui/icons";
import { KeyButton, KeyDialog } from "./ui/keydialog";
import { Toast } from "./ui/toast";
import { EditView } from "./views/edit/edit";
import { EncodeView } from "./views/encode";
import { GenerateView } from "./views/generate";
import { JobView } from "./views/job";
import { JobsView } from "./views/jobs";
import { ModelsView } from "./views/models/models";
import { TranslateView } from "./views/translate";

const TABS: readonly (readonly [View, string])[] = [
  ["generate", "Generate"],
  ["encode", "Encode"],
  ["edit", "Edit"],
  ["translate", "Translate"],
  ["models", "Models"],
  ["jobs", "Jobs"],
];
const THEMES = { system: ["auto", "as the system has it"], light: ["sun", "light"], dark: ["moon", "dark"] } as const;

export function App() {
  const { view, job } = route.value;
  const [icon, name] = THEMES[theme.value];
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: a link by what it does, though the address stays */}
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header class="bar">
        <a class="brand" href="#/generate" aria-label="Voxelsmith">
          <Mark />
          <span>Voxelsmith</span>
        </a>
        <nav aria-label="Views">
          <ul>
            {TABS.map(([key, text]) => (
              <li key={key}>
                <a href={formatRoute(key)} aria-current={key === view ? "page" : undefined}>
                  {text}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="bar-tools">
          <Button kind="quiet" icon={icon} label={`Colours: ${name}`} onClick={turnTheme} />
          <KeyButton />
        </div>
      </header>
      {/* Another key sees other jobs: every view begins anew. */}
      <main id="main" tabIndex={-1} key={apiKey.value}>
        {view === "generate" && <GenerateView />}
        {view === "encode" && <EncodeView />}
        {view === "edit" && <EditView />}
        {view === "translate" && <TranslateView />}
        {view === "models" && <ModelsView />}
        {view === "jobs" && (job === null ? <JobsView /> : <JobView key={job} id={job} />)}
      </main>
      <Toast />
      <KeyDialog />
      <Confirm />
    </>
  );
}

/** The address after the # is the page's own, so the link moves the focus by itself. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
