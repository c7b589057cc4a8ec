// Models: what each of them is, makes and can do, and whether its files are what its card says.
import type { AnyCard, AnyModel, Verb } from "../../api/types";
import { cardOf, loadModels, models, preferred } from "../../catalogue";
import { formatRoute, route } from "../../route";
import { Icon } from "../../ui/icons";
import { titleOf } from "../../ui/modelcard";
import { Empty, ProblemNotice, Skeleton } from "../../ui/notices";
import { About, Digests, Evaluation } from "./about";
import { DirectionTable } from "./directions";
import { Samples } from "./samples";

export function ModelsView() {
  const { value: all, problem } = models.value;
  const named = all?.find(({ name }) => name === route.value.query["model"]);
  const ready = all?.filter((model): model is AnyCard => model.status === "ready") ?? [];
  const shown = named ?? preferred(ready, null) ?? all?.[0] ?? null;
  return (
    <div class="work">
      <nav class="panel" aria-label="Models">
        <h1>Models</h1>
        {problem && <ProblemNotice problem={problem} onRetry={() => void loadModels()} />}
        {!all && !problem && <Skeleton lines={8} label="Loading the models" />}
        {all && <List all={all} shown={shown?.name ?? null} />}
        {all && (
          <p class="hint">
            Import, add, edit and remove models with the command line: <code>voxelsmith models --help</code>.
          </p>
        )}
      </nav>
      <section class="stage" aria-label="About the model" key={shown?.name}>
        {all?.length === 0 && <Empty icon="warning" title="The service has no models" />}
        {shown && <Model model={shown} />}
      </section>
    </div>
  );
}

function List({ all, shown }: { all: readonly AnyModel[]; shown: string | null }) {
  return (
    <ul class="models-list">
      {all.map((model) => (
        <li key={model.name}>
          <a
            href={formatRoute("models", null, { model: model.name })}
            aria-current={model.name === shown ? "page" : undefined}
          >
            <strong>{model.name}</strong>
            {model.status === "broken" ? (
              <span class="hint is-broken">broken</span>
            ) : (
              <span class="hint">{model.title || model.family}</span>
            )}
          </a>
        </li>
      ))}
    </ul>
  );
}

function Model({ model }: { model: AnyModel }) {
  const card = cardOf(model.name);
  if (!card) return <Broken model={model} />;
  const latent = "latent" in card;
  return (
    <>
      <div class="model-head">
        <h2>{titleOf(card)}</h2>
        <div class="actions">
          {card.verbs.map((verb) => (
            <a key={verb} class="button plain" href={formatRoute(verb, null, { model: card.name })}>
              {VERBS[verb]}
            </a>
          ))}
        </div>
      </div>
      <p class="caution">Synthetic, not for diagnosis</p>
      {card.description && <p>{card.description}</p>}
      {latent && <Samples card={card} />}
      <div class="model-parts">
        <About card={card} />
        {latent && <DirectionTable card={card} />}
        <Evaluation card={card} />
        <Digests card={card} />
      </div>
    </>
  );
}

const VERBS: Record<Verb, string> = { generate: "Generate", encode: "Encode", edit: "Edit", translate: "Translate" };

function Broken({ model }: { model: AnyModel }) {
  return (
    <>
      <h2>{model.name}</h2>
      <div class="notice problem" role="note">
        <Icon name="warning" />
        <div>
          <p class="notice-title">Broken: it cannot be used</p>
          <p>{model.reason}</p>
          <p class="hint">
            Once its files are mended, <code>voxelsmith models verify {model.name}</code> says so, and it shows here
            without a restart.
          </p>
        </div>
      </div>
    </>
  );
}
