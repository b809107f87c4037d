"""Black boxes behind a URL: TF Serving's REST API and the Open Inference Protocol."""
