// Short names for the shapes of the service's own schema. A change of the contract shows here, or where they are used.
import type { components } from "./schema";

type Schemas = components["schemas"];

export type JobRecord = Schemas["JobRecord"];
export type JobKind = JobRecord["kind"];
export type JobState = Schemas["JobState"];
export type Webhook = NonNullable<JobRecord["webhook"]>;
export type ResultFile = Schemas["ResultFile"];
export type AnyModel = Schemas["ModelList"]["items"][number];
export type ModelCard = Schemas["ReadyModel"];
export type TranslatorCard = Schemas["ReadyTranslator"];
export type AnyCard = ModelCard | TranslatorCard;
export type Verb = AnyCard["verbs"][number];
export type Direction = Schemas["DirectionList"]["items"][number];
export type ProblemDocument = Schemas["Problem"];
export type ErrorItem = Schemas["ErrorItem"];
export type Source = Schemas["EditRequest"]["source"];
export type OutputOptions = Schemas["OutputOptions"];

export type GenerateRequest = Schemas["GenerateRequest"];
export type EncodeRequest = Schemas["EncodeRequest"];
export type TranslateRequest = Schemas["TranslateRequest"];
export type EditRequest = Schemas["EditRequest"];
export type RegressionFit = Schemas["RegressionFit"];
export type SefaFit = Schemas["SefaFit"];

export function isTerminal(state: JobState): boolean {
  return state !== "queued" && state !== "running";
}
