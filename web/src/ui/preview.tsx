// Preview: a result's picture. It takes the key, so it is fetched and shown as a blob, which goes with the component.
import { useEffect, useState } from "preact/hooks";

import { persist } from "../api/retry";
import { fetchBlob } from "../api/save";

/** In the order in which they lie beside each other in a picture. */
export const PLANES = ["axial", "coronal", "sagittal"] as const;
export type Plane = (typeof PLANES)[number];

interface PreviewProps {
  url: string | null;
  alt: string;
  /** One plane alone, or all three beside each other. */
  planes?: Plane | "three";
}

export function Preview({ url, alt, planes = "axial" }: PreviewProps) {
  const [address, setAddress] = useState<string | null>(null);
  useEffect(() => {
    if (!url) return setAddress(null);
    const stop = new AbortController();
    let own: string | null = null;
    persist(() => fetchBlob(url, stop.signal), stop.signal).then(
      (blob) => {
        own = URL.createObjectURL(blob);
        if (stop.signal.aborted) URL.revokeObjectURL(own);
        else setAddress(own);
      },
      () => setAddress(null),
    );
    return () => {
      stop.abort();
      if (own) URL.revokeObjectURL(own);
    };
  }, [url]);
  return (
    <span class={`preview ${planes}${address ? "" : " blank"}`}>
      {address && <img src={address} alt={alt} width={planes === "three" ? 768 : 256} height={256} decoding="async" />}
    </span>
  );
}
